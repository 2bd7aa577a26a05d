"""A 1x1 convolution and its norm as one: the values and gradients of both, one after the other."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.models.layers import ConvUnit
from cnn_jax.ops.pointwise_norm import pointwise_norm
from cnn_jax.runtime import target


def apart(x, kernel, scale, bias, epsilon, dtype):
    z = jnp.einsum("bhwi,ic->bhwc", x.astype(dtype), kernel[0, 0].astype(dtype))
    return ops.batch_norm(z, scale, bias, epsilon, dtype)


def arguments(shift=0.5):
    numbers = np.random.RandomState(0)
    x = np.maximum(numbers.randn(4, 5, 3, 6) + shift, 0)
    kernel, scale, bias = numbers.randn(1, 1, 6, 16), 1 + numbers.rand(16), numbers.randn(16)
    weights = numbers.randn(4, 5, 3, 16)
    return [jnp.asarray(value, jnp.float32) for value in (x, kernel, scale, bias, weights)]


@pytest.mark.heavy
@pytest.mark.parametrize("shift", [0.5, 8.0])
def test_equals_one_after_the_other(shift):
    *given, weights = arguments(shift)

    def outcome(form):
        def value(*given):
            y, mean, var = form(*given, 1e-3, jnp.float32)
            return (jnp.sin(y) * weights).sum(), (y, mean, var)

        return jax.value_and_grad(value, (0, 1, 2, 3), has_aux=True)(*given)

    found, wanted = outcome(pointwise_norm), outcome(apart)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4 * float(abs(other).max()))


def test_statistics_of_half_precision_are_those_of_its_numbers():
    """In float64, of the rounded x and kernel: nothing is rounded to 16 bits on the way."""
    x, kernel, scale, bias, _ = arguments(shift=4.0)
    halves = [np.asarray(v.astype(jnp.bfloat16)).astype(np.float64) for v in (x, kernel)]
    z = halves[0].reshape(-1, 6) @ halves[1][0, 0]
    _, mean, var = pointwise_norm(x.astype(jnp.bfloat16), kernel, scale, bias, 1e-3, jnp.bfloat16)
    np.testing.assert_allclose(mean, z.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(var, z.var(0), rtol=1e-4)


def test_a_constant_map_becomes_the_bias():
    x, kernel, scale, bias, _ = arguments()
    y, _, var = pointwise_norm(jnp.full_like(x, 3.7), kernel, scale, bias, 1e-3, jnp.float32)
    assert (np.asarray(var) >= 0).all()
    np.testing.assert_allclose(y, jnp.broadcast_to(bias[None, None, None], y.shape), atol=0.05)


class Widening(nn.Module):
    features: int = 16
    norm: str = "batch"
    train: bool = True

    @nn.compact
    def __call__(self, x):
        unit = ConvUnit(self.train, norm=self.norm, activation="relu", dtype=jnp.bfloat16)
        return unit(x, self.features, 1, name="conv3")


def traced(net, x, platform="tpu", joint=True):
    variables = net.init(jax.random.key(0), x)
    with target.compiled_for(platform, 1), ops.joint_norms(joint):
        apply = lambda v, x: net.apply(v, x, mutable=["batch_stats"])  # noqa: E731
        return str(jax.make_jaxpr(apply)(variables, x)).count("conv_general_dilated")


@pytest.mark.heavy
def test_they_are_one_where_a_tpu_trains_a_widening_layer_alone():
    """One convolution more, for the products of x."""
    x = jnp.zeros((2, 4, 4, 8), jnp.bfloat16)
    assert traced(Widening(), x) == 2
    assert traced(Widening(), x, joint=False) == 1
    assert traced(Widening(features=8), x) == 1
    assert traced(Widening(norm="group"), x) == 1
    assert traced(Widening(train=False), x) == 1
    assert traced(Widening(), x, platform="gpu") == 1


@pytest.mark.heavy
def test_the_layer_has_the_same_variables_and_nearly_the_same_values():
    x = jax.random.normal(jax.random.key(1), (4, 6, 6, 8)).astype(jnp.bfloat16)
    net = Widening()

    def outcome(joint):
        with target.compiled_for("tpu", 1), ops.joint_norms(joint):
            variables = net.init(jax.random.key(0), x)

            def value(params):
                y, changed = net.apply(variables | {"params": params}, x, mutable=["batch_stats"])
                return (y.astype(jnp.float32) ** 2).sum(), (y, changed)

            grads, aux = jax.grad(value, has_aux=True)(variables["params"])
        return variables, aux, grads

    one, apart = outcome(True), outcome(False)
    assert jax.tree.structure(one) == jax.tree.structure(apart)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(apart), strict=True):
        assert a.dtype == b.dtype
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, rtol=0.02, atol=0.02 * abs(b).max())
