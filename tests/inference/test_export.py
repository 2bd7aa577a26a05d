"""An exported net answers as the net: any batch, folded or not, in a process with JAX alone."""

import contextlib
import dataclasses
import datetime
import io
import json
import re
import shutil
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import cnn_jax
from cnn_jax import models, ops, train
from cnn_jax.data.dataset import Task
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.errors import UserError
from cnn_jax.inference import exporting
from cnn_jax.inference.folding import fold, pairs_of
from cnn_jax.inference.onnx_file import write_onnx
from cnn_jax.inference.weights_folder import preprocessing_of, write_weights_folder
from cnn_jax.models.layers import BatchNorm, pooling
from cnn_jax.models.variables import flatten
from cnn_jax.tools import export as tool
from configs.base import base
from tests.support import commands
from tests.support.random_net import random_net, random_variables


@pytest.fixture(scope="module")
def net():
    return random_net("bn_lenet", 28)


def pixels(net, batch):
    shape = (batch, *net.preparation.image_shape)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


@pytest.mark.heavy
def test_every_norm_of_a_residual_net_is_folded():
    net = random_net("resnet20_cifar", 8)
    flat = flatten(net.variables)
    apply, folded = fold(net.model, net.variables, net.preparation.image_shape)
    assert len(pairs_of(net.model, net.variables, (8, 8, 3))) == 19
    assert not [name for name in flatten(folded) if name.startswith("batch_stats")]
    var = flat["batch_stats/conv1_norm/var"]
    slope = flat["params/conv1_norm/scale"] / np.sqrt(var + 1e-5)
    kernel = flatten(folded)["params/conv1/kernel"]
    np.testing.assert_allclose(kernel, flat["params/conv1/kernel"] * slope, rtol=1e-5)
    images = jax.random.normal(jax.random.key(0), (3, 8, 8, 3))
    with ops.reference_ops():
        plain = jax.jit(lambda v, x: net.model.apply(v, x).logits)(net.variables, images)
        found = jax.jit(lambda v, x: apply(v, x).logits)(folded, images)
    np.testing.assert_allclose(found, plain, atol=1e-5)
    assert np.abs(plain).max() > 0.1


def test_only_norms_right_behind_a_layer_used_once_are_folded():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            shared, after = nn.Conv(3, (1, 1), name="shared"), nn.Conv(2, (1, 1), name="after")
            x = BatchNorm(True, name="first")(shared(x)) + shared(x)
            x = BatchNorm(True, name="second")(nn.relu(after(x)))
            return BatchNorm(True, name="third", use_scale=False)(nn.Conv(2, (1, 1), name="end")(x))

    variables = random_variables(Twice(), (1, 2, 2, 3))
    assert {
        norm: layer for norm, (layer, _) in pairs_of(Twice(), variables, (2, 2, 3)).items()
    } == {"third": "end"}
    apply, folded = fold(Twice(), variables, (2, 2, 3))
    x = np.float32(np.random.default_rng(0).standard_normal((2, 2, 2, 3)))
    np.testing.assert_allclose(apply(folded, x), Twice().apply(variables, x), atol=1e-6)


@pytest.mark.parametrize(("folded", "inputs"), [(False, "uint8"), (True, "float")])
def test_the_program_answers_as_the_net_for_any_batch(net, folded, inputs):
    program = exporting.export_program(net, folded, inputs)
    assert program.platforms == exporting.PLATFORMS
    calls = re.findall(r"custom_call @([\w.$]+)", str(program.mlir_module()))
    assert {*calls} <= {"shape_assertion"}  # StableHLO's own, of the batch
    program = export.deserialize(program.serialize())
    for batch in (1, 3):
        images = pixels(net, batch)
        expected = net.logits_step(net.variables, (images,))[:, :4]
        given = np.float32(images / 255) if inputs == "float" else images
        np.testing.assert_allclose(program.call(given), expected, atol=1e-5)


@pytest.mark.heavy
def test_a_numbers_program_is_in_the_tasks_unit():
    """The net's own output is standardised."""
    net = random_net("lenet5", 28, classes=2)
    number = type(net)(
        **{**vars(net), "task": Task("regression", unit="degrees", mean=30.0, std=2.0)}
    )
    images = pixels(net, 3)
    raw = net.model.apply(net.variables, net.preparation.normalise(np.float32(images))).logits
    found = exporting.make_function(number)(images)
    np.testing.assert_allclose(found, 2 * raw[:, :1] + 30, rtol=1e-5)


def test_the_description_has_the_statistics_of_the_channels(net):
    """(x / 255 - mean) / std is what the net's own normalisation makes of grey levels."""
    shift, scale = np.float32([10, 20, 30]), np.float32([0.5, 0.25, 0.125])
    own = dataclasses.replace(net.preparation, statistics=InputStatistics(shift, scale))
    own = dataclasses.replace(own, resize=dataclasses.replace(own.resize, channels=3))
    record = preprocessing_of(own)
    x = np.float32([[[[7, 77, 177]]]])
    expected = (x / 255 - record["mean"]) / record["std"]
    np.testing.assert_allclose(own.normalise(x), expected, rtol=1e-5)
    whole = dataclasses.replace(own, statistics=InputStatistics(np.zeros((8, 8, 3), "f4"), scale))
    assert preprocessing_of(whole)["mean"] is preprocessing_of(whole)["std"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", {net.module: name for name, net in reversed(models.REGISTRY.items())}.values()
)
def test_every_kind_of_net_takes_any_batch(name):
    model, shape = models.create(name), models.REGISTRY[name].input_shape
    variables = jax.eval_shape(
        model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *shape), "f4")
    )
    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *shape), "f4")

    def logits(variables, images):
        return model.apply(variables, images, train=False).logits

    with ops.reference_ops():
        found = jax.eval_shape(logits, variables, images).shape
    assert str(found) == f"(b, {model.num_classes})"


@pytest.mark.slow
def test_heads_of_training_are_no_part_of_the_program():
    net = random_net("googlenet", 32)
    flat = flatten(net.variables["params"])
    heads = sum(v.nbytes for name, v in flat.items() if name.startswith("auxiliary"))
    whole = sum(v.nbytes for v in flat.values())
    size = len(exporting.export_program(net).serialize())
    assert heads > 1e6
    assert whole - heads < size < whole - heads / 2


def test_a_fold_that_changes_the_outputs_is_refused(net, monkeypatch):
    assert exporting.check_folded(net) < 1e-5
    monkeypatch.setattr("cnn_jax.inference.folding.fold_one", lambda *_: None)
    with pytest.raises(UserError, match=r"--fold changes the outputs by .*: export without it"):
        exporting.check_folded(net)


def test_expiry():
    text = exporting.expiry(datetime.date(2026, 8, 31))
    assert f"JAX {jax.__version__}" in text
    assert "(no later than 2027-02-28)" in text
    assert "2027-01-15" in exporting.expiry(datetime.date(2026, 7, 15))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(run, folder that the tool wrote, what it printed)."""
    place = tmp_path_factory.mktemp("export")
    config = base("tiny", "digits", image_size=8)
    config.update({"epochs": 1.0, "batch_size": 256, "devices": 1, "log_every_steps": 0})
    config.model.update({"name": "mlp", "hidden": (16,), "norm": "batch"})
    config.data.normalisation = "mean_image"
    train.train_and_evaluate(config, str(place / "run"))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tool.export(str(place / "run"), place / "out", True, "uint8", "stablehlo", "CC0-1.0")
    return place / "run", place / "out", printed.getvalue()


@pytest.mark.heavy
def test_the_folder_is_complete(exported):
    run, out, printed = exported
    assert {path.name for path in out.iterdir()} == {
        *("net.stablehlo", "run_exported.py", "weights.safetensors", "weights.json"),
        *("constants.npz", "config.json"),
    }
    assert "uint8 images [B, 8, 8, 1]" in printed
    assert "no later than" in printed
    record = json.loads((out / "weights.json").read_text())
    report = json.loads((run / "report.json").read_text())
    assert record["classes"] == [str(i) for i in range(10)]
    assert record["licence"] == "CC0-1.0"
    assert record["figures"]["accuracy"] == report["accuracy"]
    assert record["figures"]["protocol"] == "single_crop"
    assert record["options"]["hidden"] == [16]
    images = pixels(cnn_jax.load(run), 5)
    expected = cnn_jax.load(run).predict(images).probabilities
    assert np.array_equal(cnn_jax.load(out).predict(images).probabilities, expected)


@pytest.mark.heavy
def test_jax_alone_runs_it(exported, tmp_path):
    run, out, _ = exported
    images = pixels(cnn_jax.load(run), 2)
    np.save(tmp_path / "images.npy", images)
    blocked = ("cnn_jax", "flax", "optax", "orbax", "ml_collections", "PIL")
    code = (
        "import runpy, sys\n"
        f"sys.modules.update(dict.fromkeys({blocked}))\n"  # importing any of them raises
        f"sys.argv = ['run', {str(tmp_path / 'images.npy')!r}]\n"
        f"runpy.run_path({str(out / exporting.LOADER)!r}, run_name='__main__')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    net = cnn_jax.load(run)
    logits = np.asarray(net.logits_step(net.variables, (images,)))
    for line, row in zip(ran.stdout.splitlines(), logits, strict=True):
        words = line.split()
        best = np.argsort(-row)[:5]
        assert words[::2] == [net.classes[i] for i in best]
        np.testing.assert_allclose([float(word) for word in words[1::2]], row[best], atol=1e-4)


def test_constants_are_held_to_the_description(exported, tmp_path):
    _, out, _ = exported
    net = cnn_jax.load(out)
    write_weights_folder(net, out, tmp_path)
    assert json.loads((tmp_path / "weights.json").read_text())["licence"] == "CC0-1.0"
    write_weights_folder(net, out, tmp_path, "MIT")
    assert json.loads((tmp_path / "weights.json").read_text())["licence"] == "MIT"
    InputStatistics(np.float32(1), np.float32(1)).write(tmp_path)
    with pytest.raises(UserError, match=r"constants.npz is not the file that weights.json"):
        cnn_jax.load(tmp_path)
    (tmp_path / "constants.npz").unlink()
    with pytest.raises(UserError, match=r"constants.npz is missing"):
        cnn_jax.load(tmp_path)


def test_outputs_without_a_class_come_along(net, tmp_path):
    write_weights_folder(net, tmp_path / "run", tmp_path / "out")
    loaded = cnn_jax.load(tmp_path / "out")
    assert loaded.classes == net.classes
    images = pixels(net, 2)
    found, expected = loaded.predict(images), net.predict(images)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-6)
    path = tmp_path / "out/weights.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"classes": [*"abcdefgh"]}))
    with pytest.raises(UserError, match="8 classes are named, and num_classes=5"):
        cnn_jax.load(tmp_path / "out")


def test_the_workdir_itself_is_no_place_for_it(exported):
    with pytest.raises(UserError, match="is the workdir itself: name another folder"):
        tool.export(str(exported[0]), exported[0], False, "uint8", "stablehlo")


def test_without_flatbuffers_nothing_is_written(exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax._src.export.serialization", None)
    with pytest.raises(UserError, match=r'^export needs flatbuffers: pip install "cnn_jax.export'):
        tool.export(str(exported[0]), tmp_path / "out", False, "uint8", "stablehlo")
    assert not (tmp_path / "out").exists()


def test_a_full_place_keeps_no_halves(net, tmp_path, monkeypatch):
    def refuse(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", refuse)
    with pytest.raises(UserError, match=r"weights.safetensors could not be written to .*No space"):
        write_weights_folder(net, tmp_path, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").iterdir() if "weights" in path.name]


def test_a_damaged_report_is_named_before_anything_is_written(exported, tmp_path):
    shutil.copytree(exported[0], tmp_path / "run")
    (tmp_path / "run/report.json").write_text("[1]")
    with pytest.raises(UserError, match=r"report\.json cannot be read \(it holds a list"):
        tool.export(str(tmp_path / "run"), tmp_path / "out", False, "uint8", "stablehlo")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command(exported, tmp_path):
    words = (f"--workdir={exported[0]}", f"--out={tmp_path}", "--input=float")
    process = commands.start(*words, program="cnn_jax.tools.export")
    assert process.wait() == 0, process.err
    assert "float images [B, 8, 8, 1]" in process.out


def test_onnx_says_what_it_needs(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(UserError, match=r"--format=onnx needs jax2onnx .* docs/guide/use.md"):
        write_onnx(net, tmp_path, False, "uint8")


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
def test_forms_for_converters_have_the_same_values(ceil, padding):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 6, 7, 12)), jnp.float32) - 2

    def results():
        options = {"padding": padding, "ceil": ceil}
        yield pooling.max_pool(x, 3, 2, **options)
        yield pooling.avg_pool(x, 3, 2, **options)
        yield pooling.avg_pool(x, 3, 2, count_padding=False, **options)
        yield ops.local_response_norm(x)

    with ops.reference_ops():
        expected = [*results()]
        with ops.portable_ops():
            found = [*results()]
            text = str(jax.make_jaxpr(lambda x: pooling.max_pool(x, 3, 2, padding=1))(x))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert "padding=((0, 0), (0, 0), (0, 0), (0, 0))" in text
