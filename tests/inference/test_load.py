"""A run, loaded: it answers as its evaluation did, whatever it is given and wherever it is."""

import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import cnn_jax
from cnn_jax import data, train
from cnn_jax.errors import UserError
from cnn_jax.inference.image_stream import find_images
from cnn_jax.training import evaluation
from configs.base import base
from tests.support import commands, folders


def small_config(name, **model):
    config = base("tiny", name, image_size=8)
    config.update({"epochs": 2.0, "batch_size": 64, "devices": 1, "log_every_steps": 0})
    config.model.update({"name": "mlp", "hidden": (16,), "norm": "batch", **model})
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, report) of a net of the digits."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    return folder, train.train_and_evaluate(small_config("digits"), str(folder))


@pytest.fixture(scope="module")
def photo_run(tmp_path_factory):
    """(folder, report, photographs) of a net of three classes of photographs."""
    place = tmp_path_factory.mktemp("photos")
    photos = folders.make(place / "photos", {"ants": 12, "bees": 12, "cats": 12})
    config = small_config(f"folder:{photos}")
    config.update({"batch_size": 8, "epochs": 1.0})
    return place / "run", train.train_and_evaluate(config, str(place / "run")), photos


@pytest.fixture(scope="module")
def net(run):
    return cnn_jax.load(run[0])


def test_import_is_light():
    code = "import sys, cnn_jax; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not {"jax", "flax", "numpy", "PIL"} & {*loaded.stdout.split()}


@pytest.mark.heavy
def test_repr_is_a_line(net, run):
    text = repr(net)
    assert text.startswith("<mlp: 8x8x1 to 10 classes, single_crop; from ")
    assert "\n" not in text
    assert str(run[0]) in text


def test_evaluation_is_the_report_of_the_run(net, run):
    report = net.evaluate(batch_size=50)
    assert "precision" in repr(report)
    saved = {k: v for k, v in run[1].items() if k not in ("step", "data_sha256")}  # of the run
    saved["calibration"] = {k: v for k, v in saved["calibration"].items() if k != "scaled"}
    assert {**report}.keys() == saved.keys()
    for name, value in saved.items():
        if name == "top_losses":
            assert [row["image"] for row in report[name]] == [row["image"] for row in value]
        elif name in ("loss", "calibration"):  # of logits whose last bits the batch size can change
            found, expected = (jax.tree.flatten(v) for v in (report[name], value))
            np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
            assert found[1] == expected[1]
        else:
            assert report[name] == value


def test_predictions_are_those_of_the_evaluation(net, run):
    digits = data.load(small_config("digits").data)
    found = net.predict(digits.test.originals, batch_size=100)  # the last batch is not full
    assert len(found) == len(digits.test)
    np.testing.assert_allclose(found.probabilities.sum(-1), 1, rtol=1e-6)
    accuracy = np.mean([int(label) for label in found.labels] == digits.test.labels)
    assert accuracy == run[1]["accuracy"]
    one = net.predict(digits.test.originals[3])[0]
    assert one.label == found[3].label
    assert one.probability == pytest.approx(found[3].probability, rel=1e-5)
    assert "... and" in repr(found)


@pytest.mark.heavy
def test_what_an_image_may_be(photo_run, tmp_path):
    folder, _, photos = photo_run
    net = cnn_jax.load(folder)
    path = tmp_path / "one.png"  # a JPEG may be decoded at a part of its size
    path.write_bytes(folders.encoded(folders.picture(0), "PNG"))
    with Image.open(path) as image:
        pixels = np.asarray(image)
        ways = [str(path), path, pixels, pixels[None], image.copy(), [path, pixels]]
    expected = net.predict(path).probabilities[0]
    for way in ways:
        found = net.predict(way).probabilities
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)
    assert net.predict(photos).names[:2] == [f"{photos}/ants/ants_0{i}.jpg" for i in (0, 1)]
    assert len(net.predict(photos / "bees")) == 12
    grey = pixels[..., 0]
    assert find_images([grey, grey])[1].name == "image 1"
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong, words in [
        (pixels / 255, "float64 [40, 52, 3] is no image"),
        (pixels[..., :2], "has 2 channels"),
        ([], "holds no image"),
        (empty, "holds no image (.jpg"),
        (tmp_path / "none.jpg", "there is no such file or folder"),
    ]:
        with pytest.raises(UserError) as error:
            net.predict(wrong)
        assert words in str(error.value)


def test_what_cannot_be_read_is_named_and_left_out(photo_run, tmp_path, capsys):
    net = cnn_jax.load(photo_run[0])
    for name in ("a.jpg", "c.jpg"):
        shutil.copy(photo_run[2] / "ants/ants_00.jpg", tmp_path / name)
    (tmp_path / "b\x1b.jpg").write_bytes(b"no image")
    found = net.predict(tmp_path)
    assert [name.rsplit("/", 1)[1] for name in found.names] == ["a.jpg", "c.jpg"]
    assert found.unreadable == {f"{tmp_path}/b\x1b.jpg": "not a JPEG, PNG or WebP image"}
    printed = capsys.readouterr().err
    assert "1 of 3 images left out" in printed
    assert "\x1b" not in printed
    with pytest.raises(UserError, match=r"no image can be read: .*not a JPEG"):
        net.predict(tmp_path / "b\x1b.jpg")


@pytest.mark.heavy
def test_evaluation_of_another_folder_goes_by_names(photo_run, tmp_path):
    net = cnn_jax.load(photo_run[0])
    # The same images in another order of classes: one class less, and labels that are others'.
    for name in ("bees", "cats"):
        shutil.copytree(photo_run[2] / name, tmp_path / "other" / name)
    report = net.evaluate(f"folder:{tmp_path / 'other'}")
    assert report["examples"] == 24
    assert {**net.evaluate(tmp_path / "other")}["loss"] == report["loss"]
    truth = {name: net.predict(tmp_path / "other" / name).labels for name in ("bees", "cats")}
    right = sum(label == name for name, labels in truth.items() for label in labels)
    assert report["accuracy"] == right / 24
    assert report["classes"]["ants"]["support"] == 0
    (tmp_path / "other/cats").rename(tmp_path / "other/cat")
    with pytest.raises(
        UserError, match=r"'cat' the first \(did you mean 'cats'.*that the net was not"
    ):
        net.evaluate(f"folder:{tmp_path / 'other'}")
    with pytest.raises(UserError, match="the net was trained for classification"):
        net.evaluate("digits_angle")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda net: net.features(None), r"stage=None is no name; choices: all, "),
        (lambda net: net.features(["dense1"]), r"stage=\['dense1'\] is no name; choices: all, "),
        (lambda net: net.evaluate(3), r"data=3 is no name of a set: give one like"),
        (lambda net: net.evaluate(batch_size="a"), r"batch_size='a' is out of range"),
        (
            lambda net: net.predict(np.zeros((8, 8), np.uint8), batch_size=None),
            r"batch_size=None is out of range",
        ),
    ],
    ids=["no stage", "stages", "data", "batch_size", "none"],
)
def test_values_of_other_types_are_a_line(net, call, line):
    with pytest.raises(UserError, match=line):
        call(net)


@pytest.mark.heavy
def test_the_protocol_comes_with_the_run(photo_run):
    folder, _, photos = photo_run
    net = cnn_jax.load(folder)
    report = net.evaluate(protocol="ten_crop(12)")
    assert report["protocol"] == "ten_crop(12)"
    ten = net.by_protocol("ten_crop(12)")
    single = [photos / "ants/ants_00.jpg"]
    views = find_images(single)[0].views(ten.preparation)[0]
    both = np.concatenate([views, views[:, :, ::-1]])
    mean = net.answers(np.asarray(net.logits_step(net.variables, (both,)))).mean(0)
    np.testing.assert_allclose(ten.predict(single).probabilities[0], mean, atol=1e-5)
    with pytest.raises(UserError, match="choices: crops_144"):
        net.by_protocol("nine_crop")


def test_features(net, run):
    digits = data.load(small_config("digits").data)
    points = net.points.stage_ends
    features = net.features(points[0], digits.test.originals)
    assert features.shape == (len(digits.test), 16)
    assert features.dtype == np.float32
    own = net.features("all")
    assert list(own) == points
    np.testing.assert_allclose(own[points[0]], features, atol=1e-5)
    with pytest.raises(UserError, match="stage='fc9' is unknown"):
        net.features("fc9")


def test_summary_prints_the_stages(net, capsys):
    net.summary()
    printed = capsys.readouterr().out
    assert "multiply-adds" in printed
    assert printed.rstrip().endswith(repr(net))


@pytest.mark.heavy
def test_numbers_come_in_their_unit(tmp_path):
    config = small_config("digits_angle")
    config.data.fit = "bilinear"
    report = train.train_and_evaluate(config, str(tmp_path))
    net = cnn_jax.load(tmp_path)
    assert net.evaluate()["mean_absolute_error"] == pytest.approx(report["mean_absolute_error"])
    digits = data.load(config.data).test
    found = net.predict(digits.images)
    error = np.abs(found.outputs[:, 0] - digits.labels).mean()
    assert error == pytest.approx(report["mean_absolute_error"], rel=1e-5)
    assert repr(found[0]).endswith(net.task.unit)


@pytest.mark.heavy
def test_eight_devices_open_on_one(tmp_path):
    config = small_config("digits")
    config.update({"devices": 8, "parallel": "pmap"})
    saved = train.train_and_evaluate(config, str(tmp_path / "run"))
    program = tmp_path / "program.py"
    program.write_text(
        "import cnn_jax, jax\n"
        "assert jax.device_count() == 1\n"
        f"report = cnn_jax.load({str(tmp_path / 'run')!r}).evaluate()\n"
        "print(report['accuracy'], report['loss'])\n"
    )
    process = commands.start(program=str(program))
    assert process.wait() == 0, process.err
    accuracy, loss = map(float, process.out.split())
    assert accuracy == saved["accuracy"]
    assert loss == pytest.approx(saved["loss"], rel=1e-5)


def test_classes_are_there_from_the_start_and_come_back(run, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(run[0], place)
    record = json.loads((place / "data.json").read_text())
    assert record["task"]["classes"] == [str(i) for i in range(10)]
    assert record["image_shape"] == [8, 8, 1]
    (place / "data.json").unlink()
    with pytest.raises(UserError, match=r"data.json is missing.*cnn_jax evaluate --workdir="):
        cnn_jax.load(place)
    evaluation.evaluate_only(small_config("digits"), str(place))  # as it says
    assert json.loads((place / "data.json").read_text()) == record
    (place / "data.json").write_text('{"classes": ["a"]}')
    with pytest.raises(UserError, match=r"does not say the task .*'task'.*: remove it"):
        cnn_jax.load(place)
    with pytest.raises(UserError, match="there is no such folder"):
        cnn_jax.load(tmp_path / "none")
    with pytest.raises(UserError, match=r"load\(None\): the folder of a run or of weights is wan"):
        cnn_jax.load(None)


def test_constants_are_needed_where_they_are_of_the_data(run, tmp_path):
    place = tmp_path / "run"
    shutil.copytree(run[0], place)
    (place / "constants.npz").unlink()
    with pytest.raises(UserError, match=r"constants.npz is missing"):
        cnn_jax.load(place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"data.normalisation": "none"}))
    assert cnn_jax.load(place).preparation.statistics.scale == np.float32(1 / 255)


def test_outputs_without_a_class_have_no_part_in_the_probabilities(net):
    count = len(net.classes)
    logits = np.zeros((1, count + 2), np.float32)
    logits[0, -1] = 50.0
    np.testing.assert_allclose(net.answers(logits), np.full((1, count), 1 / count), rtol=1e-6)
