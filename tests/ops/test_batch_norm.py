"""BatchNorm against linen's: values, running statistics and gradients."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models.layers import BatchNorm, ConvUnit


def outcome(module, variables, x, weights, train):
    """(output, new statistics, gradients of x and of the parameters)."""

    def value(params, x):
        y, changed = module.apply(
            {"params": params, "batch_stats": variables["batch_stats"]},
            x,
            mutable=["batch_stats"] if train else [],
        )
        return (y.astype(jnp.float32) * weights).sum(), (y, changed)

    gradients, (y, changed) = jax.grad(value, (0, 1), has_aux=True)(variables["params"], x)
    return y, changed, gradients


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", [(4, 5, 3, 6), (7, 6)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("bfloat16", 0.02)])
def test_equals_linens(dtype, tolerance, shape, train):
    numbers = np.random.RandomState(0)
    x = jnp.asarray(numbers.randn(*shape) * [1, 2, 3, 1, 1, 0.5] + [0, 5, -3, 1, 0, 9], dtype)
    weights = numbers.randn(*shape).astype(np.float32)
    options = {"use_running_average": not train, "momentum": 0.9, "epsilon": 1e-3, "dtype": dtype}
    ours, linens = BatchNorm(**options), nn.BatchNorm(**options)
    variables = jax.tree.map(
        lambda leaf: leaf + 0.5 * numbers.rand(*leaf.shape), linens.init(jax.random.key(0), x)
    )
    assert jax.tree.map(jnp.shape, ours.init(jax.random.key(0), x)) == jax.tree.map(
        jnp.shape, variables
    )
    result = outcome(ours, variables, x, weights, train)
    expected = outcome(linens, variables, x, weights, train)
    assert jax.tree.structure(result) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(
            one.astype(np.float32), other.astype(np.float32), rtol=tolerance, atol=tolerance
        )


def test_a_constant_channel_becomes_its_bias():
    """Where the variance is nothing, rounding must not make it negative."""
    module = BatchNorm(use_running_average=False)
    x = jnp.full((8, 4), 1000.1)
    y, _ = module.init_with_output(jax.random.key(0), x)
    np.testing.assert_allclose(y, 0, atol=0.05)


class Unit(nn.Module):
    train: bool

    @nn.compact
    def __call__(self, x):
        return ConvUnit(self.train, activation="relu")(x, 4, 3, name="conv1")


def test_who_looks_into_an_evaluation_sees_the_norm_before_its_relu():
    """Folding, features and explanations take a norm's output for that of the norm alone."""
    x = jnp.asarray(np.random.RandomState(0).randn(3, 5, 5, 2), jnp.float32)
    variables = Unit(True).init(jax.random.key(0), x)
    y, state = Unit(False).apply(
        variables, x, capture_intermediates=True, mutable=["intermediates"]
    )
    normed = state["intermediates"]["conv1_norm"]["__call__"][0]
    assert normed.min() < 0
    np.testing.assert_array_equal(y, np.maximum(normed, 0))


@pytest.mark.parametrize("given", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("out", [jnp.float32, jnp.bfloat16])
def test_for_shapes_alone_the_norm_computes_nothing_and_has_its_own(given, out):
    x, ones = jnp.ones((2, 3, 4), given), jnp.ones(4)

    def trace():
        """Of a new function: JAX knows one again that it has traced."""
        norm = functools.partial(ops.batch_norm, epsilon=1e-3, dtype=out)
        program = jax.make_jaxpr(lambda x: norm(x, ones, ones))(x)
        return program.out_avals, str(program)

    shapes, formula = trace()
    with ops.shapes_alone():
        assert trace()[0] == shapes
        assert "sqrt" not in trace()[1]
    assert "sqrt" in formula
