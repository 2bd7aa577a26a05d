"""The speed run's net: what its first channels begin as, its shapes, what a BatchNorm has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.models.airbench import identity_start
from cnn_jax.models.variables import flatten
from tests.support.augment_cases import quick_jit


@pytest.mark.heavy
def test_the_first_channels_of_a_convolution_pass_the_image_on():
    kernel = np.asarray(identity_start(jax.random.key(0), (3, 3, 4, 6)))
    x = np.random.RandomState(0).randn(1, 5, 5, 4).astype(np.float32)
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    y = sum(padded[:, i : i + 5, j : j + 5] @ kernel[i, j] for i in range(3) for j in range(3))
    np.testing.assert_array_equal(y[..., :4], x)
    others = kernel[..., 4:]
    assert (others != 0).all()
    assert 0.8 / 6 < np.abs(others).max() <= 1 / 6  # 1 / sqrt(9 4)
    wide = np.asarray(identity_start(jax.random.key(0), (3, 3, 6, 4)))
    np.testing.assert_array_equal(wide[1, 1], np.eye(6, 4))


def test_maps_and_parameters_are_the_authors():
    net = models.create("airbench94")
    images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    shapes = {path: leaf.shape for path, leaf in flatten(variables["params"]).items()}
    assert shapes["whiten/kernel"] == (2, 2, 3, 24)
    assert shapes["block2/conv1/kernel"] == (3, 3, 64, 256)
    assert not any(path.endswith("/scale") for path in shapes)
    assert "fc/bias" not in shapes
    call = lambda v, x: net.apply(  # noqa: E731
        v, x, capture_intermediates=True, mutable=["intermediates"]
    )
    _, seen = jax.eval_shape(call, variables, images)
    maps = [seen["intermediates"][f"block{i}"]["__call__"][0].shape for i in (1, 2, 3)]
    assert maps == [(2, 15, 15, 64), (2, 7, 7, 256), (2, 3, 3, 256)]


@pytest.mark.heavy
def test_logits_are_a_ninth_and_statistics_move_by_two_fifths():
    images = np.random.RandomState(0).randn(4, 9, 9, 1).astype(np.float32)
    small = {"width": 1, "num_classes": 3}
    net, whole = (models.create("airbench94", **small, output_scale=s) for s in (1 / 9, 1))

    @quick_jit
    def all_of(images):
        variables = net.init(jax.random.key(0), images)
        _, moved = net.apply(variables, images, train=True, mutable=["batch_stats"])
        logits = [n.apply(variables, images).logits for n in (net, whole)]
        return logits, variables["batch_stats"], moved["batch_stats"]

    (ninth, all_of_it), before, after = all_of(images)
    np.testing.assert_allclose(9 * ninth, all_of_it, rtol=1e-6)
    # A variance of 1 goes to 0.6, and more by what the batch has.
    before, after = (stats["block1"]["conv1_norm"]["var"] for stats in (before, after))
    assert (before == 1).all()
    assert (after > 0.6).all()
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    with pytest.raises(UserError, match="airbench94 needs images of at least 9x9 pixels"):
        jax.eval_shape(net.apply, variables, jax.ShapeDtypeStruct((4, 8, 8, 1), jnp.float32))
