"""CBAM against the formulas of its paper in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.stages import summarize
from cnn_jax.models import create
from cnn_jax.models.layers import CBAM
from cnn_jax.models.layers.cbam import SpatialAttention


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def channel_gate(x, p):
    """Eq. 2: one perceptron for both descriptors, summed before the sigmoid."""

    def perceptron(z):
        hidden = np.maximum(z @ p["fc1"]["kernel"] + p["fc1"]["bias"], 0)
        return hidden @ p["fc2"]["kernel"] + p["fc2"]["bias"]

    return sigmoid(perceptron(x.mean((1, 2))) + perceptron(x.max((1, 2))))[:, None, None]


def spatial_gate(x, p, stats):
    """Eq. 3: a 7x7 over the maximum and the mean of each position's channels, normalised."""
    z = np.stack([x.max(-1), x.mean(-1)], -1)
    padded = np.pad(z, [(0, 0), (3, 3), (3, 3), (0, 0)])
    height, width = x.shape[1:3]
    out = sum(
        padded[:, i : i + height, j : j + width] @ p["conv"]["kernel"][i, j]
        for i in range(7)
        for j in range(7)
    )
    stats = stats["conv_norm"]
    out = (out - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    return sigmoid(out * p["conv_norm"]["scale"] + p["conv_norm"]["bias"])


@pytest.mark.heavy
@pytest.mark.parametrize("order", ["channel_first", "spatial_first"])
def test_value(order):
    random = np.random.RandomState(0)
    x = random.randn(2, 6, 5, 32).astype(np.float32)
    module = CBAM(order)
    init = functools.partial(module.init, jax.random.key(0), train=False)
    variables = jax.tree.map(lambda a: random.uniform(-0.5, 1, a.shape), jax.eval_shape(init, x))
    params, stats = variables["params"], variables["batch_stats"]["spatial"]
    stats["conv_norm"]["var"] = np.abs(stats["conv_norm"]["var"])
    expected = x
    for gate in sorted(("channel", "spatial"), reverse=order == "spatial_first"):
        if gate == "channel":
            expected = expected * channel_gate(expected, params["channel"])
        else:
            expected = expected * spatial_gate(expected, params["spatial"], stats)
    out = module.apply(variables, jnp.asarray(x), train=False)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-6)


def test_every_position_starts_half_open():
    """BatchNorm's scale at 0: the spatial gate is sigmoid(0) whatever the maps hold."""
    x = jnp.asarray(np.random.RandomState(0).randn(2, 5, 5, 16), jnp.float32)
    gate = SpatialAttention()
    variables = gate.init(jax.random.key(0), x, train=True)
    out, _ = gate.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_array_equal(out, np.full((2, 5, 5, 1), 0.5))


@pytest.mark.heavy
def test_parameters_of_one_module():
    """C = 256: two layers to and from 16 with biases, 7*7*2 weights, and BatchNorm's two."""
    layers = summarize(create("resnet50_cbam"), (224, 224, 3)).layers
    found = [layer.parameters for layer in layers if layer.path.startswith("layer1_0/attention")]
    assert found == [256 * 16 + 16, 16 * 256 + 256, 98]


@pytest.mark.heavy
def test_order_changes_the_net_and_not_its_size():
    first, second = (
        summarize(create("resnet50", attention=kind), (64, 64, 3))
        for kind in ("cbam", "cbam_spatial_first")
    )
    assert first.parameters == second.parameters
    assert [x.path for x in first.layers] != [x.path for x in second.layers]
