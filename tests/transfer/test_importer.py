"""Import with a verdict: parity, refusals, errors that name tensors, and folders that are checked.

A small net stands for all: convolution, BatchNorm, a dense layer on the flat map, a classifier.
"""

import json
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from safetensors.numpy import load_file, save_file

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.models.layers import ConvUnit, Output, sow_activation
from cnn_jax.models.registry import Net
from cnn_jax.tools import import_weights as tool
from cnn_jax.transfer import importer, parity, pretrained
from cnn_jax.transfer.layouts import torch_shape
from cnn_jax.transfer.pretrained import Pretrained
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import NameMap, same, torch_tensor_name
from cnn_jax.transfer.weights import load_weights, save_weights
from tests.support.random_weights import images, tensor

SHAPES = {
    "features.conv.weight": (6, 3, 3, 3),
    "features.bn.weight": (6,),
    "features.bn.bias": (6,),
    "features.bn.running_mean": (6,),
    "features.bn.running_var": (6,),
    "dense.weight": (7, 6 * 4 * 4),
    "dense.bias": (7,),
    "head.weight": (5, 7),
    "head.bias": (5,),
}


class Small(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, dense, dense; images of 6 pixels."""

    num_classes: int = 10
    dtype: Any = None

    @nn.compact
    def __call__(self, images, train=False):
        unit = ConvUnit(train, activation="relu", dtype=self.dtype)
        x = unit(images, 6, 3, name="conv", padding="VALID")
        x = sow_activation(self, "relu", x).reshape(x.shape[0], -1)
        x = nn.Dense(7, name="fc", dtype=self.dtype)(x)
        return Output(nn.Dense(self.num_classes, name="classifier", dtype=self.dtype)(x))


def small_map():
    return NameMap(
        "nowhere",
        {
            "conv": "features.conv",
            "conv_norm": "features.bn",
            "fc": "dense",
            "classifier": "head",
        },
        flattened={"fc": (6, 4, 4)},
        stages={"features": ("relu", same)},
        transforms_input="00000000",
    )


def by_hand(state, x):
    """The small net in NumPy and torch's layouts: what it puts out at `features`, and logits."""
    x = x.astype(np.float64).transpose(0, 3, 1, 2)
    kernel = state["features.conv.weight"].astype(np.float64)
    maps = np.zeros((len(x), 6, 4, 4))
    for i in range(4):
        for j in range(4):
            window = x[:, None, :, i : i + 3, j : j + 3]
            maps[:, :, i, j] = (window * kernel).sum((2, 3, 4))
    scale, bias, mean, var = (
        state[f"features.bn.{name}"].astype(np.float64)[:, None, None]
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    maps = np.maximum((maps - mean) / np.sqrt(var + 1e-5) * scale + bias, 0)
    hidden = maps.reshape(len(x), -1) @ state["dense.weight"].T + state["dense.bias"]
    return maps.transpose(0, 2, 3, 1), hidden @ state["head.weight"].T + state["head.bias"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    net = Net(Small, {}, (6, 6, 3), 10)
    monkeypatch.setitem(models.REGISTRY, "small", net)
    monkeypatch.setitem(MAPS, "small", small_map)


@pytest.fixture
def state():
    return {name: tensor(name, shape) for name, shape in SHAPES.items()}


@pytest.fixture
def reference(tmp_path, state):
    """A folder as make_parity.py writes it."""
    folder = tmp_path / "reference"
    folder.mkdir()
    x = images(2, 6)
    features, logits = by_hand(state, x)
    arrays = {"input": x, "logits": logits, "feat_features": features}
    for name, value in arrays.items():
        np.save(folder / f"{name}.npy", value.astype(np.float32))
    return folder


def write(path, tensors):
    save_file(tensors, path)
    return path


def run(tmp_path, state, *, weights=None, **options):
    """The tool on a state_dict; the folder that it was told to write."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    weights = weights or write(tmp_path / "model.safetensors", state)
    defaults = {"reference": None, "head": "keep", "num_classes": None, "transform_input": None}
    values = {"model": "small", "weights": str(weights), "out": str(tmp_path / "out")}
    with flagsaver.flagsaver(**{**defaults, **values, **options}):
        tool.main([])
    return tmp_path / "out"


@pytest.mark.heavy
def test_import_agrees_with_numpy(tmp_path, state, reference, capsys):
    out = run(tmp_path, state, reference=str(reference))
    printed = capsys.readouterr().out
    assert "features" in printed
    assert "checked against the reference" in printed
    params, batch_stats, description = load_weights(out)
    assert description["model"] == "small"
    assert description["num_classes"] == 5
    assert set(description["largest_differences"]) == {"features", "logits"}
    assert max(description["largest_differences"].values()) < 1e-4
    assert description["classes"] is None
    net = models.create(description["model"], description["num_classes"], **description["options"])
    variables = {"params": params, "batch_stats": batch_stats}
    logits = net.apply(variables, jax.numpy.asarray(np.load(reference / "input.npy"))).logits
    np.testing.assert_allclose(logits, np.load(reference / "logits.npy"), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("features.bn.running_var", 1.2), ("features.bn.bias", 0.9), ("dense.weight", -1)],
)
def test_a_wrong_tensor_is_refused(tmp_path, state, reference, name, factor):
    state[name] = (state[name] * factor).astype(np.float32)
    with pytest.raises(UserError, match=r"not saved: .* differs from the reference"):
        run(tmp_path, state, reference=str(reference))
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_wrong_logits_or_stages_are_refused(tmp_path, state, reference):
    for name in ("logits", "feat_features"):
        right = np.load(reference / f"{name}.npy")
        for wrong in (right + 0.02, right * np.nan):
            np.save(reference / f"{name}.npy", wrong)
            with pytest.raises(UserError, match="not saved"):
                run(tmp_path, state, reference=str(reference))
        np.save(reference / f"{name}.npy", right)
    np.save(reference / "logits.npy", np.load(reference / "logits.npy") + 0.004)
    run(tmp_path, state, reference=str(reference))


def test_rounding_is_told_from_error():
    """Beyond the tolerance: right in float64 while float32 strays as far, or wrong."""
    common = {"name": "logits", "point": "logits", "largest": 0.01, "deviation": 1.0}
    assert parity.Difference(**common, exact=0.002, rounding=0.01).agrees
    assert parity.Difference(**common, exact=0.009, rounding=0.008, confirmed=True).agrees
    assert not parity.Difference(**common, exact=0.009, rounding=0.008).agrees
    assert not parity.Difference(**common, exact=0.01, rounding=1e-5, confirmed=True).agrees
    assert not parity.Difference(**common).agrees
    assert not parity.Difference(**{**common, "largest": float("nan")}).agrees


def test_exact_logits_do_not_excuse_wrong_ones(tmp_path, state, reference):
    right = by_hand(state, images(2, 6))[1]
    np.save(reference / "logits_f64.npy", right)
    np.save(reference / "logits.npy", (right + 0.02).astype(np.float32))
    with pytest.raises(UserError, match="not saved: logits"):
        run(tmp_path, state, reference=str(reference))


def test_old_files_and_prefixes(tmp_path, state):
    expected = load_weights(run(tmp_path, state))[0]
    counted = {**state, "features.bn.num_batches_tracked": np.array(7)}
    prefixed = {f"module.{name}": value for name, value in counted.items()}
    for other in (counted, prefixed):
        params = load_weights(run(tmp_path, other))[0]
        jax.tree.map(np.testing.assert_array_equal, params, expected)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "model.", "backbone.", "module.model.a.b."])
def test_a_prefix_of_all_names_is_taken_off_and_said(tmp_path, state, prefix, capsys):
    expected = load_weights(run(tmp_path, state))[0]
    assert "all names begin" not in capsys.readouterr().out
    prefixed = {f"{prefix}{name}": value for name, value in state.items()}
    params = load_weights(run(tmp_path, prefixed))[0]
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    assert f"all names begin with {prefix!r}, which is taken off\n" in capsys.readouterr().out
    other = {**prefixed, "surplus.weight": np.ones(1, np.float32)}  # not of all
    with pytest.raises(UserError, match="is missing"):
        run(tmp_path, other)


def test_what_the_net_itself_names_is_no_prefix(tmp_path, state):
    """A part alone, all under one module of the net, keeps its names."""
    part = {name: value for name, value in state.items() if name.startswith("features.")}
    with pytest.raises(UserError, match=r"small: head\.bias is missing; .* is missing; and 1 more"):
        run(tmp_path, part)


def test_a_head_of_several_layers_is_dropped(tmp_path, state):
    expected = load_weights(run(tmp_path, state, head="drop"))[0]
    deep = {name: value for name, value in state.items() if not name.startswith("head.")}
    for name, shape in {"0.weight": (9, 7), "0.bias": (9,), "1.running_var": (9,),
                        "3.weight": (4, 9), "3.bias": (4,)}.items():  # fmt: skip
        deep[f"head.{name}"] = np.ones(shape, np.float32)
    with pytest.raises(
        UserError, match=r"\(--head=drop leaves its classifiers out\): head\.\w+ is"
    ):
        run(tmp_path, deep)
    params, _, description = load_weights(run(tmp_path, deep, head="drop"))
    assert description["num_classes"] is None
    jax.tree.map(np.testing.assert_array_equal, params, expected)
    header = {**deep, "header.0.weight": np.ones(1, np.float32)}  # is not under its name
    with pytest.raises(UserError, match=r"header\.0\.weight has no place in the net"):
        run(tmp_path, header, head="drop")


def test_misfits_name_their_tensors(tmp_path, state):
    with pytest.raises(
        UserError, match=r"head.bias is \[5\] in the file, \[3\] in the net"
    ) as error:
        run(tmp_path, state, num_classes=3)
    assert "--head=drop" in str(error.value)
    extra = {**state, "surplus.weight": np.ones(1, np.float32)}
    with pytest.raises(UserError, match=r"surplus\.weight has no place in the net"):
        run(tmp_path, extra)
    wrong = {**state, "features.conv.weight": np.ones((6, 3, 5, 5), np.float32)}
    with pytest.raises(UserError, match=r"features.conv.weight is \[6, 3, 5, 5\] in the file"):
        run(tmp_path, wrong)
    broken = {**state, "dense.bias": np.full(7, np.inf, np.float32)}
    with pytest.raises(UserError, match=r"dense\.bias has values that are not finite"):
        run(tmp_path, broken)
    del state["dense.bias"]
    with pytest.raises(UserError, match=r"dense\.bias is missing"):
        run(tmp_path, state)
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_weights_of_another_net_name_it(tmp_path):
    shapes = json.loads((Path(__file__).parent / "googlenet.json").read_text())["shapes"]
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(UserError, match=r"does not fit small \(it fits googlenet_torchvision\)"):
        run(tmp_path, state)


def test_dropped_heads(tmp_path, state, reference):
    params, _, description = load_weights(
        run(tmp_path, state, head="drop", reference=str(reference))
    )
    assert set(params) == {"conv", "conv_norm", "fc"}
    assert description["num_classes"] is None
    headless = {name: value for name, value in state.items() if not name.startswith("head")}
    with pytest.raises(UserError, match=r"head\.weight is missing"):
        run(tmp_path, headless)
    params, _, description = load_weights(
        run(tmp_path, headless, head="drop", reference=str(reference))
    )
    assert set(params) == {"conv", "conv_norm", "fc"}
    assert set(description["largest_differences"]) == {"features"}


@pytest.mark.heavy
def test_transform_input(tmp_path, state, reference):
    """The net re-normalises: what it is given is meant to have ImageNet's mean and deviation."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = np.load(reference / "input.npy")
    features, logits = by_hand(state, ((x * std + mean) - 0.5) / 0.5)
    np.save(reference / "logits.npy", logits.astype(np.float32))
    np.save(reference / "feat_features.npy", features.astype(np.float32))
    with pytest.raises(UserError, match="not saved"):
        run(tmp_path, state, reference=str(reference))
    out = run(tmp_path, state, reference=str(reference), transform_input=True)
    assert load_weights(out)[2]["preprocessing"]["mean"] == [0.5] * 3
    (reference / "meta.json").write_text('{"transform_input": true}')
    run(tmp_path, state, reference=str(reference))
    with pytest.raises(UserError, match="not saved"):
        run(tmp_path, state, reference=str(reference), transform_input=False)
    with pytest.raises(UserError, match="has no such form"):
        run(
            tmp_path, state, model="resnet18", weights=resnet18_file(tmp_path), transform_input=True
        )


def resnet18_file(tmp_path):
    names = MAPS["resnet18"]()
    trees = importer.tensor_shapes(models.create("resnet18", 2), "resnet18")
    state = {
        torch_tensor_name(names, variable): np.zeros(torch_shape(shape), np.float32)
        for tree in trees
        for variable, shape in tree.items()
    }
    return write(tmp_path / "resnet18.safetensors", state)


def test_pickles_are_not_opened(tmp_path, state, monkeypatch):
    marker = tmp_path / "opened"
    code = f"cos\nsystem\n(S'touch {marker}'\ntR."  # runs as soon as it is unpickled
    for name in ("model.pth", "model.pt", "model.bin"):
        (tmp_path / name).write_text(code)
        monkeypatch.setitem(sys.modules, "torch", None)  # as where torch is not installed
        with pytest.raises(UserError, match="is a pickle, which only torch reads safely"):
            run(tmp_path, state, weights=tmp_path / name)
    (tmp_path / "model.pkl").write_text(code)
    with pytest.raises(UserError, match=r"unknown ending; choices: \.safetensors"):
        run(tmp_path, state, weights=tmp_path / "model.pkl")
    disguised = tmp_path / "model.safetensors"
    disguised.write_text(code)
    with pytest.raises(UserError, match=r"no whole \.safetensors file"):
        run(tmp_path, state, weights=disguised)
    assert not marker.exists()


def test_old_torch_is_refused(tmp_path, state, monkeypatch):
    class OldTorch:
        __version__ = "2.9.1+cpu"

    monkeypatch.setitem(sys.modules, "torch", OldTorch)
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(UserError, match=r"torch 2\.10 or later is needed"):
        run(tmp_path, state, weights=tmp_path / "model.pth")


def test_torch_opens_tensors_only(tmp_path, state, monkeypatch):
    """Whatever is in the file, torch is asked to refuse code."""
    asked = []

    class Torch:
        __version__ = "2.10.0"

        @staticmethod
        def load(path, **options):
            asked.append(options)
            raise type("UnpicklingError", (Exception,), {})

    monkeypatch.setitem(sys.modules, "torch", Torch)
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(UserError, match="torch refuses to run its code"):
        run(tmp_path, state, weights=tmp_path / "model.pth")
    assert [options.get("weights_only") for options in asked] == [True]


def test_bad_files(tmp_path, state, reference):
    whole = write(tmp_path / "whole.safetensors", state)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"no whole \.safetensors file"):
        run(tmp_path, state, weights=cut)
    with pytest.raises(UserError, match="no such file"):
        run(tmp_path, state, weights=tmp_path / "absent.safetensors")
    with pytest.raises(UserError, match=r"has no input\.npy"):
        run(tmp_path, state, reference=str(tmp_path))
    (reference / "logits.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"logits\.npy is no whole \.npy file"):
        run(tmp_path, state, reference=str(reference))


def test_unknown_nets(tmp_path, state):
    with pytest.raises(UserError, match="did you mean 'small'"):
        run(tmp_path, state, model="smal")
    with pytest.raises(UserError, match=r"torchvision's is resnet50_v1_5"):
        run(tmp_path, state, model="resnet50")


def test_an_import_names_classes_figure_and_licence(tmp_path, state, monkeypatch):
    row = Pretrained("small.x_in1k", "small", "mit", 70, 90, 6, 7, "bicubic", (0.5,), (0.25,), 1)
    monkeypatch.setattr(pretrained, "table", lambda: {row.name: row, "b.c": row})
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\ne\n")
    out = run(tmp_path, state, classes=str(tmp_path / "names.txt"), published="small.x_in1k")
    record = json.loads((out / "weights.json").read_text())
    assert record["classes"] == [*"abcde"]
    assert record["licence"] == "mit"
    assert record["figures"]["accuracy"] == 0.7
    assert record["preprocessing"]["mean"] == [0.5]
    assert record["preprocessing"]["resize"] == 7
    with pytest.raises(UserError, match=r"published='small.y_in1k' is unknown"):
        run(tmp_path, state, published="small.y_in1k")


def test_a_folder_is_held_to_its_hash(tmp_path, state):
    out = run(tmp_path, state)
    whole = (out / "weights.safetensors").read_bytes()
    (out / "weights.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="its SHA-256 differs"):
        load_weights(out)
    (out / "weights.safetensors").write_bytes(whole)
    load_weights(out)
    (out / "weights.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        load_weights(out)
    (out / "weights.json").unlink()
    with pytest.raises(UserError, match=r"it has no weights\.json"):
        load_weights(out)


def test_saving_keeps_every_value(tmp_path):
    rng = np.random.default_rng(0)
    params = {"a": {"b": {"kernel": rng.normal(size=(2, 3)).astype(np.float32)}}}
    stats = {"a": {"mean": rng.normal(size=4).astype(np.float32)}}
    save_weights(tmp_path, params, stats, {"model": "x"})
    loaded = load_weights(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, loaded[:2], (params, stats))
    assert loaded[2]["model"] == "x"
    assert set(load_file(tmp_path / "weights.safetensors")) == {
        "params/a/b/kernel",
        "batch_stats/a/mean",
    }


@pytest.mark.heavy
def test_torchvisions_googlenet(tmp_path):
    """Parity with torchvision's net, its heads included, on weights that both sides can make."""
    fixture = json.loads((Path(__file__).parent / "googlenet.json").read_text())
    state = {name: tensor(name, shape) for name, shape in fixture["shapes"].items()}
    folder = tmp_path / "reference"
    folder.mkdir()
    np.save(folder / "input.npy", images(2, 64))
    for name in ("logits", "aux1", "aux2"):
        np.save(folder / f"{name}.npy", np.array(fixture[name], np.float32))
    out = run(tmp_path, state, model="googlenet_torchvision", reference=str(folder))
    differences = load_weights(out)[2]["largest_differences"]
    assert set(differences) == {"logits", "aux1", "aux2"}
    assert max(differences.values()) < 1e-3


@pytest.mark.parametrize(
    "model",
    [
        "mobilenet_v3_small",
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", marks=pytest.mark.slow),
        pytest.param("convnext_tiny", marks=pytest.mark.slow),
    ],
)
def test_timms_nets_of_other_names(tmp_path, model):
    """Parity with timm's own files, on weights that both sides can make."""
    names = MAPS[model]().timm
    trees = importer.tensor_shapes(models.create(model, 5, **names.options), model)
    shapes = {k: shape for tree in trees for k, shape in tree.items()}
    state = {
        n: tensor(n, torch_shape(s))
        for k, s in shapes.items()
        if (n := torch_tensor_name(names, k))
    }
    folder = tmp_path / "reference"
    folder.mkdir()
    np.save(folder / "input.npy", images(2, 64))
    logits = json.loads((Path(__file__).parent / "timm.json").read_text())[model]
    np.save(folder / "logits.npy", np.array(logits, np.float32))
    out = run(tmp_path, state, model=model, reference=str(folder))
    record = load_weights(out)[2]
    assert record["source"]["names"] == "timm"
    assert record["largest_differences"]["logits"] < 1e-3
