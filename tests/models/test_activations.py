"""Non-linearities by name: what their gradients keep, against those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models.layers.activations import ACTIVATIONS, KEEP_MORE, activate

X = jnp.linspace(-9, 9, 301)


def kept(function):
    """The maps that the gradient of a function of X keeps."""
    residuals = jax.tree.leaves(jax.vjp(function, X)[1])
    return [value for value in residuals if value.shape == X.shape]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere it is JAX's own")
@pytest.mark.parametrize("name", KEEP_MORE)
def test_a_gradient_keeps_what_goes_in_alone(name):
    assert len(kept(ACTIVATIONS[name])) > 1  # else there is nothing to do for it
    (only,) = kept(lambda x: activate(name, x))
    np.testing.assert_array_equal(only, X)


@pytest.mark.parametrize("name", KEEP_MORE)
def test_values_and_gradients_are_those_of_jax(name):
    for ours, plain in (
        (activate(name, X), ACTIVATIONS[name](X)),
        (
            jax.grad(lambda x: activate(name, x).sum())(X),
            jax.grad(lambda x: ACTIVATIONS[name](x).sum())(X),
        ),
    ):
        np.testing.assert_array_equal(ours, plain)


def test_the_reference_is_jaxs_own():
    with ops.reference_ops():
        assert len(kept(lambda x: activate("gelu", x))) > 1
