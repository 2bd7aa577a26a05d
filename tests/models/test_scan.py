"""Blocks in one loop compute what blocks one by one compute, with the same variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.models.variables import init_variables

SHAPE = (16, 16, 3)


def outcome(name, variables, images, **options):
    """(logits, new statistics, gradients) of a step of training."""
    net = models.create(name, num_classes=3, **options)

    def value(params):
        tree = {"params": params, "batch_stats": variables["batch_stats"]}
        out, changed = net.apply(tree, images, train=True, mutable=["batch_stats"])
        return jnp.sin(out.logits).sum(), (out.logits, changed)

    gradients, (logits, changed) = jax.jit(jax.grad(value, has_aux=True))(variables["params"])
    return logits, changed, gradients


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet20_cifar", {}),
        pytest.param(
            "resnet20_cifar",
            {"attention": "se", "norm": "group", "shortcut": "B"},
            marks=pytest.mark.slow,
        ),
        pytest.param("resnet34", {"shortcut": "C"}, marks=pytest.mark.slow),
        pytest.param("resnet50_v2", {}, marks=pytest.mark.slow),
    ],
)
def test_equals_the_blocks_one_by_one(name, options):
    images = jnp.asarray(np.random.RandomState(0).randn(4, *SHAPE), jnp.float32)
    loop = models.create(name, num_classes=3, scan=True, **options)
    one_by_one = models.create(name, num_classes=3, **options)
    variables = jax.jit(lambda: init_variables(one_by_one, 0, SHAPE))()
    found = outcome(name, variables, images, scan=True, **options)
    wanted = outcome(name, variables, images, **options)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    jax.tree.map(assert_close, found, wanted)
    logits = [jax.jit(net.apply)(variables, images).logits for net in (loop, one_by_one)]
    np.testing.assert_allclose(*logits, atol=1e-5)


def assert_close(a, b):
    """To rounding: a sum of large terms may end small, so the array's largest number counts."""
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4 + 1e-5 * np.abs(b).max())


@pytest.mark.heavy
def test_variables_are_drawn_apart_with_the_names_and_spread_of_blocks_one_by_one():
    def init(scan):
        return init_variables(models.create("resnet32_cifar", scan=scan), 0, SHAPE)

    loop, one_by_one = jax.jit(lambda: init(True))(), jax.eval_shape(lambda: init(False))
    assert jax.tree.map(jnp.shape, loop) == jax.tree.map(jnp.shape, one_by_one)
    first, *others = (loop["params"][f"layer1_{i}"]["conv1"]["kernel"] for i in range(1, 5))
    for other in others:
        assert not np.allclose(first, other)
        np.testing.assert_allclose(other.std(), np.sqrt(2 / (9 * 16)), rtol=0.05)
    assert {float(leaf.std()) for leaf in jax.tree.leaves(loop["batch_stats"])} == {0.0}


def test_the_program_is_as_long_for_many_blocks_as_for_few():
    def length(name):
        net = models.create(name, scan=True)
        variables = jax.eval_shape(lambda: init_variables(net, 0, SHAPE))
        images = jax.ShapeDtypeStruct((1, *SHAPE), jnp.float32)
        jaxpr = jax.make_jaxpr(lambda v, x: net.apply(v, x).logits)(variables, images)
        convolving = ("conv_general_dilated", "scan")
        return sum(equation.primitive.name in convolving for equation in jaxpr.eqns)

    assert length("resnet20_cifar") == length("resnet32_cifar")
