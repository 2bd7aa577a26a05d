"""Many arrays as one: the same numbers, gradients and updates, by compiled kernels or not."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.ops import cpu_kernels, dispatch, flat_params
from cnn_jax.training import optimizers

SHAPES = ((2, 3), (), (4,), (1, 1, 2, 2), (3,))


@pytest.fixture(params=["kernels", "xla"])
def either(request, monkeypatch):
    """Both ways; the compiled kernels as on a machine of one device."""
    if request.param == "kernels":
        if cpu_kernels.library() is None:
            pytest.skip("no C++ compiler")
        monkeypatch.setattr(dispatch.jax, "device_count", lambda: 1)
    return request.param


def numbers(shapes=SHAPES, seed=0):
    random = np.random.RandomState(seed)
    return tuple(jnp.asarray(random.randn(*shape), jnp.float32) for shape in shapes)


def test_arrays_lie_one_behind_the_other(either):
    arrays = numbers()
    whole = np.concatenate([np.ravel(a) for a in arrays])
    np.testing.assert_array_equal(flat_params.join(arrays), whole)
    program = jax.jit(lambda arrays: flat_params.join(arrays)).lower(arrays).as_text()
    assert ("cnn_jax_join" in program) == (either == "kernels")
    for result, array in zip(flat_params.split(jnp.asarray(whole), SHAPES), arrays, strict=True):
        np.testing.assert_array_equal(result, array)
    same = numbers([(2, 3)] * 4)
    np.testing.assert_array_equal(flat_params.stack(same), np.stack(same))
    np.testing.assert_array_equal(np.stack(flat_params.unstack(jnp.stack(same))), np.stack(same))


def test_gradients_go_through(either):
    arrays, factors = numbers(), numbers(seed=1)

    def total(arrays):
        whole = flat_params.join(arrays)
        parts = flat_params.split(whole * whole, SHAPES)
        return sum((part * factor).sum() for part, factor in zip(parts, factors, strict=True))

    for result, a, f in zip(jax.grad(total)(arrays), arrays, factors, strict=True):
        np.testing.assert_allclose(result, 2 * a * f, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "largest"), [("momentum", math.inf), ("momentum", 4), ("adamw", math.inf)]
)
def test_an_update_of_packed_params_is_the_same(either, tiny, name, largest):
    del either
    tiny.optimizer.name, tiny.optimizer.weight_decay, tiny.clip_norm = name, 0.1, 0.5
    rule = optimizers.make_optimizer(tiny, optax.constant_schedule(0.1))
    params = {"a": {"kernel": numbers()[0], "bias": numbers()[2]}, "b": {"kernel": numbers()[3]}}
    one, other, together = params, params, rule.init(params)
    pack, unpack = flat_params.make_packing(params, largest)
    large = [p.shape for p in jax.tree.leaves(params) if p.size > largest]
    assert [p.shape for p in pack(params).large] == large
    assert jax.tree.structure(unpack(rule.init(pack(params)))) == jax.tree.structure(together)
    alone = together
    for step in range(3):
        grads = jax.tree.map(lambda p, step=step: jnp.cos(p + step), params)
        updates, alone = rule.update(grads, alone, one)
        one = optax.apply_updates(one, updates)
        updates, packed = rule.update(pack(grads), pack(together), pack(other))
        other, together = unpack(optax.apply_updates(pack(other), updates)), unpack(packed)
    assert jax.tree.structure(together) == jax.tree.structure(alone)
    for a, b in zip(jax.tree.leaves((one, alone)), jax.tree.leaves((other, together)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_equal_arrays_are_taken_apart_by_calls_of_their_own():
    """The moments of a fresh optimizer: one call's results would be copied one by one."""
    if cpu_kernels.library() is None:
        pytest.skip("no C++ compiler")

    def twice(x, serials):
        return [cpu_kernels.split(x, SHAPES, serial) for serial in serials]

    x, calls = flat_params.join(numbers()), {}
    for serials in [(0, 0), (0, 1)]:
        program = jax.jit(lambda x, s=serials: twice(x, s)).lower(x)
        calls[serials] = program.compile().as_text().count('custom_call_target="cnn_jax_split"')
    assert calls == {(0, 0): 1, (0, 1): 2}

    tree = {"a": numbers()[0], "b": numbers()[2]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dispatch.jax, "device_count", lambda: 1)
        pack, unpack = flat_params.make_packing(tree)
        program = str(jax.make_jaxpr(lambda t: unpack([pack(t), pack(t)]))(tree))
    serials = re.findall(r"'serial', np.int64\((\d)\)", program)
    assert serials == ["0", "1", "2", "3"]
