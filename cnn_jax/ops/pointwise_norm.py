"""A 1x1 convolution and BatchNorm as one, whose statistics come from the convolution's input.

Where a step waits for memory, maps are what it waits for. The mean and variance of z = x W follow
from the mean and the products x^T x of x, which has fewer channels where W widens; so z is
normalised as it is computed, and never written. Its gradient needs z only through x^T z = x^T x W
and z W^T = x W W^T. The rest is Ioffe & Szegedy 2015, sec. 3, as in `batch_norm`.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Float32

from cnn_jax.ops.batch_norm import Normalized, Vector
from cnn_jax.ops.conv_implementations import LAYOUT

Residuals = tuple[Any, ...]
# The kernel's gradient as a convolution: channels in place of examples, one window of a whole map.
PRODUCTS = lax.ConvDimensionNumbers((3, 0, 1, 2), (3, 0, 1, 2), (2, 3, 0, 1))
EXACT = lax.Precision.HIGHEST


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def pointwise_norm(
    x: Float[Array, "b h w i"],
    kernel: Float32[Array, "1 1 i c"],
    scale: Vector,
    bias: Vector,
    epsilon: float,
    dtype: Any,
) -> Normalized:
    """`batch_norm` of the 1x1 convolution of `x` as `dtype`: (y, mean, var), likewise.

    Statistics are float32, of products rounded to nothing less. Reverse mode only.
    """
    return _forward(x, kernel, scale, bias, epsilon, dtype)[0]


def _forward(
    x: jax.Array, kernel: jax.Array, scale: Vector, bias: Vector, epsilon: float, dtype: Any
) -> tuple[Normalized, Residuals]:
    x, count = x.astype(dtype), x.size // x.shape[-1]
    weights = kernel[0, 0].astype(dtype).astype(jnp.float32)
    middle = x.astype(jnp.float32).mean((0, 1, 2))
    spread = products(x, x) / count - jnp.outer(middle, middle)
    mean = jnp.matmul(middle, weights, precision=EXACT)
    shared = jnp.matmul(spread, weights, precision=EXACT)  # of x and z, [i, c]
    var = jnp.maximum((weights * shared).sum(0), 0.0)
    shrink = lax.rsqrt(var + epsilon)
    z = pointwise(x, weights).astype(jnp.float32)
    y = (z - over_maps(mean)) * over_maps(scale * shrink) + over_maps(bias)
    residuals = x, kernel, scale, middle, mean, shrink, shared
    return (y.astype(dtype), mean, var), residuals


def _backward(
    epsilon: float, dtype: Any, residuals: Residuals, gradients: tuple[jax.Array, ...]
) -> tuple[jax.Array, ...]:
    del epsilon
    x, kernel, scale, middle, mean, shrink, shared = residuals
    count, dy = x.size // x.shape[-1], gradients[0]
    weights = kernel[0, 0].astype(dtype).astype(jnp.float32)
    dbias, found = dy.astype(jnp.float32).sum((0, 1, 2)), products(x, dy)
    dscale = shrink * ((weights * found).sum(0) - mean * dbias)
    # dz = slope (dy - dbias / count - pull (z - mean)), whose coefficients are rows [1, c].
    slope, pull = (scale * shrink)[None], (dscale * shrink / count)[None]
    dkernel = slope * (found - jnp.outer(middle, dbias) - count * pull * shared)
    back = jnp.matmul(weights * (slope * pull), weights.T, precision=EXACT)  # z W^T by x
    shift = slope * (pull * mean[None] - dbias[None] / count)
    constant = jnp.matmul(shift, weights.T, precision=EXACT)[0]
    dx = pointwise(dy, (slope * weights).T).astype(jnp.float32)
    dx = dx - pointwise(x, back).astype(jnp.float32) + over_maps(constant)
    return dx.astype(x.dtype), dkernel[None, None].astype(kernel.dtype), dscale, dbias


pointwise_norm.defvjp(_forward, _backward)


def over_maps(vector: Vector) -> jax.Array:
    return jnp.asarray(vector)[None, None, None, :]


def pointwise(x: jax.Array, weights: jax.Array) -> jax.Array:
    """x [B, H, W, I] times weights [I, C], in the type of `x`."""
    kernel = weights.astype(x.dtype)[None, None]
    return lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)


def products(x: jax.Array, y: jax.Array) -> jax.Array:
    """x^T y [I, C] over all pixels of [B, H, W, I] and [B, H, W, C], as float32."""
    found = lax.conv_general_dilated(
        x,
        y,
        (1, 1),
        "VALID",
        dimension_numbers=PRODUCTS,
        preferred_element_type=jnp.float32,
    )
    return found[0, 0]
