"""The operations of `cases.py` as the nets call them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from benchmarks.speed.cases import Case
from cnn_jax import ops
from cnn_jax.runtime import sharding


def build(case: Case) -> tuple[Callable[[], jax.Array], dict[str, int]]:
    """(a call that computes the value and the gradients, what it is made of)."""
    function, weights = FORMS[case.model](case, **case.options)
    numbers = np.random.RandomState(0)

    def normal(shape: tuple[int, ...]) -> jax.Array:
        return jnp.asarray(numbers.standard_normal(shape), jnp.float32)

    x = normal((case.batch, case.size, case.size, case.channels))
    given = [normal(shape) for shape in weights]
    out = jax.eval_shape(function, x, *given)
    cotangent = normal(out.shape)
    first = case.options.get("first", False)

    @sharding.jit
    def run(x: jax.Array, given: list[jax.Array], cotangent: jax.Array) -> Any:
        fixed = (lambda *w: function(x, *w)) if first else function
        value, back = jax.vjp(fixed, *given) if first else jax.vjp(fixed, x, *given)
        return value, back(cotangent)

    parameters = sum(math.prod(shape) for shape in weights)
    products = math.prod(weights[0][:-1]) if weights and len(weights[0]) > 1 else 0
    return lambda: run(x, given, cotangent), {
        "parameters": parameters,
        "multiply_adds": out.size // case.batch * products,
        "activation_bytes": 4 * out.size // case.batch,
    }


Form = tuple[Callable[..., jax.Array], list[tuple[int, ...]]]  # a function, shapes of its weights


def convolution(
    case: Case, features: int, window: int, stride: int, pad: int, groups: int, first: bool = False
) -> Form:
    del first
    shape = (window, window, case.channels // groups, features)
    pads = ((pad, pad), (pad, pad))

    def run(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return ops.convolution(x, kernel, (stride, stride), pads, feature_group_count=groups)

    return run, [shape]


def max_pool(case: Case, window: int, stride: int, pad: int) -> Form:
    window_args = (window, window), (stride, stride), ((pad, pad), (pad, pad))
    return lambda x: ops.max_pool(x, *window_args), []


def mean_pool(case: Case, window: int, stride: int, pad: int) -> Form:
    window_args: Any = (window, window), (stride, stride), ((pad, pad), (pad, pad))
    return lambda x: nn.avg_pool(x, *window_args), []


def batch_norm_relu(case: Case) -> Form:
    def run(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        normalized: Any = ops.batch_norm(x, scale, bias, 1e-5, jnp.float32)
        return nn.relu(normalized[0])

    return run, [(case.channels,), (case.channels,)]


def dense(case: Case, features: int) -> Form:
    return lambda x, kernel: x.reshape(len(x), -1) @ kernel, [(case.channels, features)]


FORMS: dict[str, Callable[..., Form]] = {
    "convolution": convolution,
    "max_pool": max_pool,
    "mean_pool": mean_pool,
    "global_mean": lambda case: (lambda x: x.mean((1, 2)), []),
    "batch_norm_relu": batch_norm_relu,
    "response_norm": lambda case, window: (lambda x: ops.local_response_norm(x, window), []),
    "relu": lambda case: (nn.relu, []),
    "tanh": lambda case: (jnp.tanh, []),
    "dense": dense,
}
