"""Max-pooling and response normalisation for the CPU against the reference operations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops import pooling
from cnn_jax.runtime import target


def value_and_gradient(function, x, weights):
    value, back = jax.vjp(function, x)
    return value, back(weights)[0]


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding"),
    [
        ((8, 8), (2, 2), (2, 2), ((0, 0), (0, 0))),
        ((9, 7), (3, 3), (2, 2), ((0, 0), (0, 0))),
        ((8, 9), (3, 3), (2, 2), ((0, 1), (1, 1))),
        ((6, 5), (3, 3), (1, 1), ((1, 1), (1, 1))),
        ((7, 8), (2, 3), (3, 2), ((1, 0), (0, 2))),  # rows that no window sees
        ((5, 5), (5, 5), (1, 1), ((0, 0), (0, 0))),
    ],
)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_max_pool(size, window, stride, padding, ties, platform):
    """Ties too: the gradient goes to the first of equal pixels in all forms."""
    numbers = np.random.RandomState(0)
    x = numbers.randn(3, *size, 4).astype(np.float32)
    x = jnp.array(np.round(x) if ties else x)  # rounded: most windows hold equal pixels
    pool = lambda x: ops.max_pool(x, window, stride, padding)  # noqa: E731
    with ops.reference_ops():
        weights = jnp.float32(numbers.randn(*jax.eval_shape(pool, x).shape))
        reference = value_and_gradient(pool, x, weights)
    with target.compiled_for(platform, 1):
        ours = jax.jit(lambda x: value_and_gradient(pool, x, weights))(x)
    np.testing.assert_array_equal(ours[0], reference[0])
    np.testing.assert_allclose(ours[1], reference[1], atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_axis_max(axis):
    """Against NumPy: value, and the gradient at the first of equal entries."""
    x = np.float32(np.random.RandomState(0).randint(0, 4, (3, 5, 4)))
    weights = np.float32(np.random.RandomState(1).randn(*x.max(axis).shape))
    value, gradient = value_and_gradient(
        lambda x: ops.axis_max(x, axis), jnp.array(x), jnp.array(weights)
    )
    np.testing.assert_array_equal(value, x.max(axis))
    by_hand = np.zeros_like(x)
    place, values = (np.expand_dims(a, axis) for a in (x.argmax(axis), weights))
    np.put_along_axis(by_hand, place, values, axis)
    np.testing.assert_array_equal(gradient, by_hand)


def test_axis_max_needs_no_entry_that_equals_it():
    """As where the backward pass computes the map again with another rounding."""
    _, residuals = pooling._axis_max_forward(jnp.float32([[0.1, 0.3, 0.2]]), 1)
    gradient = pooling._axis_max_backward(1, residuals, jnp.ones(1))[0]
    np.testing.assert_array_equal(gradient, [[0.0, 1.0, 0.0]])


def test_a_window_without_a_number_gives_none():
    x = jnp.array([[1.0, np.nan], [0.0, 2.0]]).reshape(1, 2, 2, 1)
    pool = lambda x: ops.max_pool(x, (2, 2), (2, 2), ((0, 0), (0, 0)))  # noqa: E731
    assert np.isnan(pool(x)).all()
    assert np.isnan(jax.vjp(pool, x)[0]).all()


@pytest.mark.parametrize(("channels", "size", "beta"), [(3, 5, 0.75), (16, 5, 0.75), (9, 4, 0.5)])
def test_response_norm(channels, size, beta):
    numbers = np.random.RandomState(0)
    x = 10 * numbers.randn(2, 3, 3, channels)
    weights = numbers.randn(*x.shape)
    norm = lambda x: ops.local_response_norm(x, size, 1e-2, beta)  # noqa: E731
    ours = value_and_gradient(norm, jnp.float32(x), jnp.float32(weights))
    with ops.reference_ops():
        reference = value_and_gradient(norm, jnp.float32(x), jnp.float32(weights))
    by_hand = np.empty_like(x)
    for c in range(channels):
        first = max(0, c - size // 2)
        near = x[..., first : c - size // 2 + size]
        by_hand[..., c] = x[..., c] / (2 + 1e-2 * (near**2).sum(-1)) ** beta
    np.testing.assert_allclose(ours[0], by_hand, rtol=1e-5)
    for a, b in zip(ours, reference, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
