"""Small tensors are updated as one where a net has many, to the values of each by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.ops import cpu_kernels, dispatch
from cnn_jax.training.parameter_update import MANY, SMALL, ParameterUpdate


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    if cpu_kernels.library() is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(dispatch.target, "device_count", lambda: 1)


def parameters(count):
    random = np.random.RandomState(0)
    small = {f"scale{i}": random.randn(3 + i % 5).astype(np.float32) for i in range(count)}
    return {**small, "kernel": random.randn(SMALL + 1, 1).astype(np.float32)}


def after_three_steps(joined, params):
    update = ParameterUpdate(optax.chain(optax.scale_by_adam(), optax.scale(-0.1)), joined)
    step = jax.jit(lambda state, params: update(jax.tree.map(jnp.cos, params), state, params))
    state = update.init(params)
    program = step.lower(state, params).as_text()
    for _ in range(3):
        params, state, norm = step(state, params)
    return (params, state, norm), program


@pytest.mark.heavy
def test_many_small_tensors_are_one_and_a_large_one_stays():
    params = parameters(MANY)
    alone, program = after_three_steps("none", params)
    assert "cnn_jax_join" not in program
    together, joined_program = after_three_steps("small", params)
    assert "cnn_jax_join" in joined_program
    assert joined_program.count(" = ") < program.count(" = ") / 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), alone, together)


@pytest.mark.heavy
def test_few_are_updated_one_by_one():
    params = parameters(MANY - 1)
    (alone, program), (same, other) = (after_three_steps(way, params) for way in ("none", "small"))
    assert program == other
    jax.tree.map(np.testing.assert_array_equal, alone, same)
