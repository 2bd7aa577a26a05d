"""The compiled BatchNorm, alone and with what can stand behind it, against NumPy's in float64."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models.layers import ConvUnit
from cnn_jax.ops import convolutions, cpu_kernels

pytestmark = pytest.mark.skipif(
    jax.default_backend() != "cpu" or cpu_kernels.library() is None,
    reason="no C++ compiler, or no CPU",
)
EPSILON = 1e-3
SHAPES = {
    "one number": (1, 1),
    "vectors": (7, 5),
    "channels that fill no vector": (3, 5, 4, 6),
    "one vector": (2, 9, 8, 16),
    "every width of a block": (2, 5, 6, 125),
    "one row more than a part": (65, 3),
    "many parts": (40, 12, 12, 70),
    "more rows than parts": (5000, 2),
    "parts of more rows than are summed in float": (20000, 2),
}


def sigmoid(y):
    return 1 / (1 + np.exp(-y))


def below(y):
    """The share of a normal variable below y."""
    return np.vectorize(lambda v: math.erfc(-v / math.sqrt(2)) / 2, otypes=[float])(y)


# y -> (the activation, its slope), each by its definition
ACTIVATIONS = {
    "none": lambda y: (y, np.ones_like(y)),
    "relu": lambda y: (np.maximum(y, 0), y > 0),
    "relu6": lambda y: (np.clip(y, 0, 6), (y > 0) & (y < 6)),
    "silu": lambda y: (y * sigmoid(y), sigmoid(y) + y * sigmoid(y) * sigmoid(-y)),
    "hard_swish": lambda y: (
        y * np.clip(y + 3, 0, 6) / 6,
        np.clip(y + 3, 0, 6) / 6 + y / 6 * (abs(y) < 3),
    ),
    "gelu": lambda y: (
        y * below(y),
        below(y) + y * np.exp(-y * y / 2) / math.sqrt(2 * math.pi),
    ),
}


def numpys(x, gradient, scale, bias, activation):
    """(y, mean, var, gradients by x, scale and bias), in float64: the paper's algorithm 1."""
    x, gradient = (a.astype(np.float64).reshape(-1, a.shape[-1]) for a in (x, gradient))
    mean, var = x.mean(0), x.var(0)
    shrink = 1 / np.sqrt(var + EPSILON)
    y = scale * (x - mean) * shrink + bias
    y, slope = ACTIVATIONS[activation](y)
    gradient = gradient * slope
    by_hat = gradient * scale
    by_var = (by_hat * (x - mean)).sum(0) * -0.5 * shrink**3
    by_mean = -(by_hat * shrink).sum(0)
    by_x = by_hat * shrink + by_var * 2 * (x - mean) / len(x) + by_mean / len(x)
    return y, mean, var, by_x, (gradient * (x - mean) * shrink).sum(0), gradient.sum(0)


@pytest.mark.parametrize("activation", cpu_kernels.AFTER_NORM)
@pytest.mark.parametrize("case", SHAPES)
def test_values_and_gradients_are_numpys(case, activation):
    shape, numbers = SHAPES[case], np.random.RandomState(0)
    x = (numbers.randn(*shape) * (1 + numbers.rand(shape[-1])) + 2).astype(np.float32)
    gradient = numbers.randn(*shape).astype(np.float32)
    scale, bias = (2 * numbers.randn(shape[-1]).astype(np.float32) for _ in range(2))
    given = [jnp.asarray(a) for a in (x, scale, bias)]
    y, mean, var = cpu_kernels.batch_norm(*given, EPSILON, activation)
    gradients = cpu_kernels.batch_norm_gradient(
        given[0], jnp.asarray(gradient), *given[1:], mean, var, EPSILON, activation
    )
    expected = numpys(x, gradient, scale, bias, activation)
    for result, value in zip((y, mean, var, *gradients), expected, strict=True):
        scaled = 1e-6 * max(1.0, float(abs(value).max()))
        np.testing.assert_allclose(
            np.reshape(result, value.shape), value, rtol=2e-5, atol=5 * scaled
        )


@pytest.mark.parametrize("activation", cpu_kernels.AFTER_NORM)
def test_what_is_not_finite_stays_so(activation):
    x = np.random.RandomState(0).randn(200, 20).astype(np.float32)
    x[3, 1], x[150, 17] = np.nan, np.inf
    ones, zeros = jnp.ones(20), jnp.zeros(20)
    y, mean, var = cpu_kernels.batch_norm(jnp.asarray(x), ones, zeros, EPSILON, activation)
    lost = np.isin(np.arange(20), (1, 17))
    np.testing.assert_array_equal(~np.isfinite(y).all(0), lost)
    np.testing.assert_array_equal(~np.isfinite(mean), lost)
    np.testing.assert_array_equal(~np.isfinite(var), lost)


def test_a_constant_channel_has_no_negative_variance_and_no_gradient_at_zero():
    x, ones, zeros = jnp.full((8, 3), 1000.1), jnp.ones(3), jnp.zeros(3)
    y, mean, var = cpu_kernels.batch_norm(x, ones, zeros, EPSILON, "relu")
    np.testing.assert_allclose(mean, 1000.1, rtol=1e-6)
    assert (np.asarray(var) >= 0).all()
    np.testing.assert_allclose(y, 0, atol=0.01)
    exact = jnp.full((8, 3), 2.0)
    gradients = cpu_kernels.batch_norm_gradient(
        exact, jnp.ones((8, 3)), ones, zeros, jnp.full(3, 2.0), zeros, EPSILON, "relu"
    )
    assert not any(np.any(gradient) for gradient in gradients)


def test_shapes_that_do_not_fit_are_an_error():
    x, wide, three, four = jnp.ones((2, 5, 3)), jnp.ones((2, 5, 4)), jnp.ones(3), jnp.ones(4)
    vectors = (three, three, three, three, EPSILON, "none")
    calls = (
        lambda: cpu_kernels.batch_norm(x, four, four, EPSILON, "none"),
        lambda: cpu_kernels.batch_norm(x, three, four, EPSILON, "none"),
        lambda: cpu_kernels.batch_norm_gradient(x, wide, *vectors),
        lambda: cpu_kernels.batch_norm_gradient(x, x[:1], *vectors),
        lambda: cpu_kernels.batch_norm_gradient(x, x, three, four, *vectors[2:]),
    )
    for call in calls:
        with pytest.raises(jax.errors.JaxRuntimeError, match="do not fit: "):
            jax.block_until_ready(call())


class Unit(nn.Module):
    activation: Any

    @nn.compact
    def __call__(self, x):
        return ConvUnit(True, activation=self.activation)(x, 4, 3, name="conv1")


# What the program of a unit would hold of its activation, were it not part of the kernel.
TRACES = {
    "relu": "maximum",
    "relu6": "minimum",
    "silu": "exponential",
    "hard_swish": "minimum",
    "gelu": "exponential",
}


@pytest.mark.parametrize("activation", ["tanh", *TRACES])
def test_a_unit_takes_it_with_its_activation_where_one_device_computes(activation, monkeypatch):
    """Values, gradients and running statistics of a unit are those by XLA."""

    x = jnp.asarray(np.random.RandomState(0).randn(6, 7, 7, 8), jnp.float32)
    unit = Unit(activation)
    variables = unit.init(jax.random.key(0), x)

    def everything():
        def total(variables, x):
            y, changed = unit.apply(variables, x, mutable=["batch_stats"])
            return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), changed

        return jax.jit(jax.value_and_grad(total, (0, 1), has_aux=True))

    reference = everything()
    assert "cnn_jax_batch_norm" not in reference.lower(variables, x).as_text()
    expected = reference(variables, x)
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    ours = everything()
    program = ours.lower(variables, x).as_text()
    assert program.count("@cnn_jax_batch_norm(") == 1
    assert program.count("@cnn_jax_batch_norm_gradient(") == 1
    trace, xlas = TRACES.get(activation, "tanh"), reference.lower(variables, x).as_text()
    assert trace in xlas
    assert (trace in program) == (activation == "tanh")
    for one, other in zip(
        jax.tree.leaves(ours(variables, x)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(abs(other).max()))


def test_other_types_are_xlas(monkeypatch):
    monkeypatch.setattr(convolutions.jax, "device_count", lambda: 1)
    ones, zeros = jnp.ones(3), jnp.zeros(3)
    full, half = jnp.float32, jnp.bfloat16
    for given, out in ((full, full), (half, full), (full, half), (half, half)):
        run = jax.jit(lambda x, out=out: ops.batch_norm(x, ones, zeros, EPSILON, out, "relu"))
        program = run.lower(jnp.ones((4, 3), given))
        assert ("cnn_jax" in program.as_text()) == (given == out == full)
        assert program.out_info[0].dtype == out


def test_a_guided_relu_lets_no_negative_gradient_back():
    x = jnp.asarray(np.random.RandomState(0).randn(6, 7, 7, 8), jnp.float32)
    variables = Unit("relu").init(jax.random.key(0), x)

    def lost(x):
        return -Unit("relu").apply(variables, x, mutable=["batch_stats"])[0].sum()

    assert np.any(jax.grad(lost)(x))
    with ops.guided_rectifiers():
        assert not np.any(jax.grad(lost)(x))
