"""Name maps: every tensor of the source is used once, and has the place its shape says."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.transfer import importer
from cnn_jax.transfer.layouts import from_torch, torch_shape
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import stage_counterpart, torch_tensor_name

with (Path(__file__).parent / "state_dicts.csv").open(newline="") as file:
    ROWS = list(csv.DictReader(file))

# One net of each kind; the others differ in depth or width.
QUICK = {
    "alexnet_torchvision",
    "vgg16",
    "vgg11_bn",
    "googlenet_torchvision",
    "inception_v3",
    "inception_v4",
    "resnet18",
    "resnet50_v1_5",
    "resnet50_v2",
    "seresnet50",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
}


def source_shape(shape):
    """Our shape in torch's order; sides of 1 left out, as 1x1 convolutions may be dense there."""
    return [n for n in torch_shape(shape) if n != 1]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=f"{row['name']} of {row['source'].partition(' ')[0]}",
            marks=() if row["name"] in QUICK else pytest.mark.slow,
        )
        for row in ROWS
    ],
)
def test_every_tensor_is_used_once(row):
    name = row["name"]
    library = row["source"].partition(" ")[0]
    names = next(form for form in MAPS[name]().forms if form.library == library)
    trees = importer.tensor_shapes(models.create(name, **names.options), name)
    shapes = {}
    for tree in trees:
        for variable, shape in tree.items():
            tensor = torch_tensor_name(names, variable)
            assert tensor not in shapes, f"{tensor} is used twice"
            shapes[tensor] = source_shape(shape)
    lines = sorted(f"{tensor} {shape}" for tensor, shape in shapes.items())
    assert len(lines) == int(row["tensors"])
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == row["sha256"]


def test_maps_are_of_registered_nets():
    assert set(MAPS) <= set(models.names())
    assert {row["name"] for row in ROWS} == set(MAPS) - {"bn_inception"}  # of neither library


@pytest.mark.parametrize("name", MAPS)
def test_no_module_has_two_names(name):
    for form in MAPS[name]().forms:
        torch_names = list(form.modules.values())
        assert len(set(torch_names)) == len(torch_names)


def test_a_stage_is_found_by_its_name_or_its_module():
    names = MAPS["googlenet_torchvision"]()
    assert stage_counterpart(names, "inception4a")[0] == "inception_4a"
    assert stage_counterpart(names, "maxpool2")[0] == "pool2"
    assert stage_counterpart(names, "inception3a.branch1.conv")[0] == "inception_3a/1x1"
    assert stage_counterpart(names, "nowhere") is None


@pytest.mark.parametrize("name", ["alexnet_torchvision", "vgg11_bn", "googlenet_torchvision"])
def test_flat_layers_are_of_the_maps_size(name):
    names = MAPS[name]()
    params, _ = importer.tensor_shapes(models.create(name, **names.options), name)
    assert names.flattened
    for layer, maps in names.flattened.items():
        assert params[f"{layer}/kernel"][0] == np.prod(maps)


def test_layouts():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 3, 2, 4)).astype(np.float32)  # OIHW
    ours = from_torch(kernel, (2, 4, 3, 5))
    assert ours[1, 2, 0, 3] == kernel[3, 0, 1, 2]
    dense = rng.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_array_equal(from_torch(dense, (3, 5)), dense.T)
    np.testing.assert_array_equal(from_torch(dense[..., None, None], (3, 5)), dense.T)
    np.testing.assert_array_equal(from_torch(dense, (1, 1, 3, 5))[0, 0], dense.T)
    assert from_torch(dense, (5, 3)) is None
    assert from_torch(kernel, (3, 5)) is None
    np.testing.assert_array_equal(from_torch(np.ones((4, 1, 1)), (4,)), np.ones(4))
    np.testing.assert_array_equal(from_torch(np.ones((1, 4)), (4,)), np.ones(4))
    assert from_torch(np.ones((2, 2)), (4,)) is None


def test_flattened_inputs_are_reordered():
    """torch's first dense layer counts its inputs as C, H, W; ours as H, W, C."""
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, 4)).astype(np.float32)  # C, H, W
    weight = rng.normal(size=(5, 24)).astype(np.float32)
    ours = from_torch(weight, (24, 5), flattened=(2, 3, 4))
    np.testing.assert_allclose(
        maps.transpose(1, 2, 0).reshape(-1) @ ours, weight @ maps.reshape(-1), rtol=1e-5
    )
