"""Initial values drawn piece by piece have the bits of the compiled initialisation."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.models.variables import fresh_variables, init_variables
from cnn_jax.runtime import fresh_values, sharding
from cnn_jax.runtime.fresh_values import PIECE, FreshValues
from cnn_jax.training import net_checks


def assert_same(ours, compiled):
    jax.tree.map(np.testing.assert_array_equal, ours, compiled)
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, compiled)
    dtypes = [[np.asarray(x).dtype for x in jax.tree.leaves(tree)] for tree in (ours, compiled)]
    assert dtypes[0] == dtypes[1]


@pytest.mark.parametrize(
    "initialiser",
    [
        jax.nn.initializers.normal(0.01),
        jax.nn.initializers.he_normal(),
        jax.nn.initializers.lecun_uniform(),
        jax.nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal"),
        lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -2.4, 2.4) / 7,
        lambda key, shape, dtype: jax.random.laplace(key, shape, dtype),  # by no rule
    ],
)
@pytest.mark.parametrize("shape", [(1, 1), (3, PIECE // 2), (5, 3 * PIECE // 5 + 2)])
def test_a_draw_has_the_bits_of_the_compiled_one(initialiser, shape):
    def make(seed):
        key = jax.random.fold_in(jax.random.key(seed), 5)
        drawn = initialiser(key, shape, jnp.float32)
        twice = {"twice": 2 * drawn, "doubled": drawn * 2}
        return {"drawn": drawn, "zeros": jnp.zeros(3)} | twice

    assert_same(FreshValues(make)(3), sharding.jit_once(make)(np.uint32(3)))


@pytest.mark.parametrize("name", ["lenet5_1998", "alexnet", "resnet20_cifar", "mobilenet_v1_025"])
def test_no_program_is_compiled_for_a_net(name):
    """Another JAX may trace a draw in other words, for which there is no rule."""
    net, shape = models.create(name), models.REGISTRY[name].input_shape
    fresh = FreshValues(lambda seed: init_variables(net, seed, shape))
    jaxpr = fresh.program.jaxpr
    for equation, _ in fresh_values.needed(jaxpr, jaxpr.outvars):
        assert fresh_values.has_rule(equation), equation


@pytest.mark.parametrize(
    ("draw", "more"),
    [
        (jax.nn.initializers.normal(0.01), 0 if fresh_values.JOINS_CONSTANTS else 1),  # erf_inv
        (jax.nn.initializers.lecun_uniform(), 0),
    ],
)
def test_values_are_in_memory_once(draw, more):
    """NumPy tells tracemalloc of its memory: eight tensors of 4 MB, and pieces."""

    def make(seed):
        keys = [jax.random.fold_in(jax.random.key(seed), n) for n in range(8)]
        return [draw(key, (1024, 1024), jnp.float32) for key in keys]

    fresh = FreshValues(make)
    fresh(0)
    tracemalloc.start()
    fresh(1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 8 < peak / (4 * 2**20) < 8.6 + more


def test_no_constant_of_the_program_is_written_over():
    """Nor a draw that is read again, whatever takes its place."""
    factors = np.linspace(1, 2, 6, dtype=np.float32).reshape(2, 3)

    def make(seed):
        drawn = jax.random.uniform(jax.random.key(seed), (2, 3))
        return factors * factors * drawn, 2 * (3 * drawn), drawn

    fresh = FreshValues(make)
    assert all(
        fresh_values.has_rule(e) for e in fresh.program.jaxpr.eqns if e.outvars[0].aval.size > 1
    )
    first = fresh(1)
    assert_same(fresh(1), first)
    np.testing.assert_array_equal(first[0], factors * factors * first[2])
    np.testing.assert_array_equal(first[1], 2 * (3 * first[2]))
    np.testing.assert_array_equal(factors, np.linspace(1, 2, 6, dtype=np.float32).reshape(2, 3))


def test_what_was_spread_before_keeps_its_values():
    def make(seed):
        drawn = jax.random.uniform(jax.random.key(seed), (3,))
        return jnp.broadcast_to(drawn, (2, 3)), drawn * 2

    assert_same(FreshValues(make)(3), sharding.jit_once(make)(np.uint32(3)))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_draws_of_sixteen_bits_are_compiled(dtype):
    """Their bits are drawn in another way."""
    make = lambda seed: 3 * jax.random.normal(jax.random.key(seed), (5,), dtype)  # noqa: E731
    assert_same(FreshValues(make)(3), sharding.jit_once(make)(np.uint32(3)))


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["lenet5_1998", "bn_lenet", "resnet20_cifar", "scanned"])
def test_a_net_has_the_bits_of_its_compiled_initialisation(name):
    net = models.create("resnet20_cifar", scan=True) if name == "scanned" else models.create(name)
    make = lambda seed: init_variables(net, seed, (32, 32, 1))  # noqa: E731
    compiled = sharding.jit_once(make)(np.uint32(7))
    assert_same(fresh_variables(net, 7, (32, 32, 1)), compiled)
    of_training = net_checks.trace(net, (32, 32, 1), 2).fresh  # without a trace of its own
    assert_same(FreshValues(of_training)(7), compiled)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["inception_v3", "googlenet", "efficientnet_b0", "convnext_tiny", "vgg11", "alexnet"]
)
def test_so_has_one_of_each_family(name):
    shape, net = (96, 96, 3), models.create(name, 10)
    make = lambda seed: init_variables(net, seed, shape)  # noqa: E731
    compiled = sharding.jit_once(make)(np.uint32(7))
    assert_same(fresh_variables(net, 7, shape), compiled)
    assert_same(FreshValues(net_checks.trace(net, shape, 2).fresh)(7), compiled)


def test_what_hangs_on_more_than_the_first_argument_is_not_taken_apart():
    def start(key, x):
        return {"drawn": jax.random.normal(key, (3,))}, x + 1

    def leaks(key, x):
        return {"drawn": jax.random.normal(key, (3,)) + x}, x

    def looped(key, x):
        return {"drawn": jax.lax.fori_loop(0, 3, lambda i, y: y * 2, jax.random.normal(key))}, x

    key = jax.random.key(0)
    for function, is_taken in ((start, True), (leaks, False), (looped, False)):
        program, (shapes, _) = jax.make_jaxpr(function, return_shape=True)(key, jnp.ones(3))
        found = fresh_values.first_results(program, shapes)
        assert (found is not None) == is_taken
        if found is not None:
            assert_same(found(key), {"drawn": jax.random.normal(key, (3,))})


@pytest.mark.heavy
def test_nothing_is_compiled_for_a_shape(monkeypatch):
    """One program for all nets that draw alike, and none of a whole net."""
    whole = []
    monkeypatch.setattr(FreshValues, "compiled", whole.append, raising=False)
    fresh_values.compiled_piece.cache_clear()
    for net in (models.create("lenet5"), models.create("googlenet")):
        fresh_variables(net, 0, (64, 64, 1))
    assert fresh_values.compiled_piece.cache_info().currsize == 1
    assert not whole


def test_another_generator_takes_the_compiled_form():
    make = lambda seed: jax.random.normal(jax.random.key(seed), (5,))  # noqa: E731
    with jax.threefry_partitionable(False):
        assert_same(FreshValues(make)(3), sharding.jit_once(make)(np.uint32(3)))
