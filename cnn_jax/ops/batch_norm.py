"""Normalisation by the statistics of the batch, with its gradient written out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import use_cpu_kernels, use_shapes_alone

Residuals = tuple[Any, ...]
# JAX hands over the constants of a compiled function as arrays of NumPy.
Vector = Float32[Array, " c"] | Float32[np.ndarray, " c"]
# What a norm can have behind it within one operation; the CPU's kernels have the same.
AFTER_NORM: dict[str, Callable[[jax.Array], jax.Array]] = {
    "none": lambda y: y,
    "relu": jax.nn.relu,
    "relu6": jax.nn.relu6,
    "silu": jax.nn.silu,
    "hard_swish": jax.nn.hard_swish,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
}
Normalized = tuple[Float[Array, "*b c"], Float32[Array, " c"], Float32[Array, " c"]]


def batch_norm(
    x: Float[Array, "*b c"],
    scale: Vector,
    bias: Vector,
    epsilon: float,
    dtype: Any,
    activation: str = "none",
) -> Normalized:
    """(activation(scale (x - mean) / sqrt(var + epsilon) + bias) as `dtype`, mean, var).

    Ioffe & Szegedy 2015, algorithm 1, with one of `AFTER_NORM` behind it. Statistics are float32
    and over all axes but the last; the variance is the mean of squares less the square of the mean,
    and no gradient goes through the two that are returned. Reverse mode only.
    """
    if use_shapes_alone():
        like = jnp.zeros_like(scale, jnp.float32)
        return x.astype(dtype), like, like
    floats = dtype == jnp.float32
    if floats and use_cpu_kernels(x, scale, bias, kernel="batch_norm"):
        return _kernel_norm(x, scale, bias, epsilon, activation)
    outputs: Any = _xla_norm(x, scale, bias, epsilon, dtype)
    y, mean, var = outputs
    return AFTER_NORM[activation](y), mean, var


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _kernel_norm(
    x: Float32[Array, "*b c"], scale: Vector, bias: Vector, epsilon: float, activation: str
) -> Normalized:
    return cpu_kernels.batch_norm(x, scale, bias, epsilon, activation)


def _kernel_forward(
    x: jax.Array, scale: Vector, bias: Vector, epsilon: float, activation: str
) -> tuple[Normalized, Residuals]:
    y, mean, var = cpu_kernels.batch_norm(x, scale, bias, epsilon, activation)
    return (y, mean, var), (x, scale, bias, mean, var)


def _kernel_backward(
    epsilon: float, activation: str, residuals: Residuals, gradients: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
    x, scale, bias, mean, var = residuals
    return cpu_kernels.batch_norm_gradient(
        x, gradients[0], scale, bias, mean, var, epsilon, activation
    )


_kernel_norm.defvjp(_kernel_forward, _kernel_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _xla_norm(
    x: Float[Array, "*b c"], scale: Vector, bias: Vector, epsilon: float, dtype: Any
) -> Normalized:
    """Differentiating the formula step by step reads the map once more than the gradient written
    out, and takes twice as long to trace."""
    return _xla_forward(x, scale, bias, epsilon, dtype)[0]


def _xla_forward(
    x: jax.Array, scale: Vector, bias: Vector, epsilon: float, dtype: Any
) -> tuple[Normalized, Residuals]:
    axes = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.float32)
    mean = wide.mean(axes)
    var = jnp.maximum(lax.square(wide).mean(axes) - lax.square(mean), 0.0)
    shrink = lax.rsqrt(var + epsilon)
    centred = wide - lax.broadcast_to_rank(mean, x.ndim)
    slope = lax.broadcast_to_rank(scale * shrink, x.ndim)
    y = (centred * slope + lax.broadcast_to_rank(bias, x.ndim)).astype(dtype)
    return (y, mean, var), (x, scale, mean, shrink)


def _xla_backward(
    epsilon: float, dtype: Any, residuals: Residuals, gradients: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of x, scale and bias: the paper's sec. 3, the sums over the batch gathered."""
    del epsilon, dtype
    x, scale, mean, shrink = residuals
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    dy = gradients[0].astype(jnp.float32)
    centred = x.astype(jnp.float32) - lax.broadcast_to_rank(mean, x.ndim)
    dbias = dy.sum(axes)
    dscale = (dy * centred).sum(axes) * shrink
    dx = dy - lax.broadcast_to_rank(dbias / count, x.ndim)
    dx -= centred * lax.broadcast_to_rank(dscale * shrink / count, x.ndim)
    dx *= lax.broadcast_to_rank(scale * shrink, x.ndim)
    return dx.astype(x.dtype), dscale, dbias


_xla_norm.defvjp(_xla_forward, _xla_backward)
