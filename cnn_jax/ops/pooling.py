"""Maximum over windows.

XLA expands the gradient of its own (`select_and_scatter`) to a search of every window, 11 to 20
times slower on a CPU than what is here: the forward pass keeps the place of each maximum in a byte.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import fast_on_cpu, takes_native
from cnn_jax.ops.window_slices import Pads, Sides, pad_maps, spread, taps

PLACES = 127  # of a window, that a byte can tell apart


def max_pool(x: jax.Array, window: Sides, stride: Sides, padding: Pads) -> jax.Array:
    """[B, H, W, C] -> [B, H', W', C]; padding never wins.

    The gradient goes to the first maximum of a window, row by row.
    """
    if fast_on_cpu() and window[0] * window[1] <= PLACES:
        return _by_place(x, window, stride, padding)
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *stride, 1),
        padding=[(0, 0), *padding, (0, 0)],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _by_place(x: jax.Array, window: Sides, stride: Sides, padding: Pads) -> jax.Array:
    if takes_native(x):
        return _native(x, window, stride, padding)[0]
    best = None
    for _, _, seen in taps(pad_maps(x, padding, -np.inf), window, stride):
        best = seen if best is None else jnp.maximum(best, seen)
    return best


def _native(x: jax.Array, window: Sides, stride: Sides, padding: Pads) -> tuple[jax.Array, ...]:
    sides = zip(x.shape[1:3], window, stride, padding, strict=True)
    out = ((n + low + high - k) // s + 1 for n, k, s, (low, high) in sides)
    corner = padding[0][0], padding[1][0]
    return cpu_kernels.max_pool(x, window, (x.shape[0], *out, x.shape[3]), stride, corner)


def _forward(x, window, stride, padding):
    size = jnp.zeros((0, *x.shape[1:3]), jnp.int8)  # carries the shape of x, and no data
    if takes_native(x):
        best, place = _native(x, window, stride, padding)
        return best, (place, size)
    best = place = None
    for i, j, seen in taps(pad_maps(x, padding, -np.inf), window, stride):
        if best is None:
            best, place = seen, jnp.zeros(seen.shape, jnp.int8)
        else:
            place = jnp.where(seen > best, jnp.int8(i * window[1] + j), place)
            best = jnp.maximum(best, seen)
    return best, (place, size)


def _backward(window, stride, padding, kept, gradient):
    place, size = kept
    if takes_native(gradient):
        shape = (gradient.shape[0], *size.shape[1:], gradient.shape[3])
        corner = padding[0][0], padding[1][0]
        return (cpu_kernels.max_pool_gradient(place, gradient, window, shape, stride, corner),)
    padded = tuple(n + sum(pads) for n, pads in zip(size.shape[1:], padding, strict=True))

    def share(i: int, j: int, place: jax.Array, gradient: jax.Array) -> jax.Array:
        return jnp.where(place == i * window[1] + j, gradient, 0)

    whole = spread((place, gradient), (-1, 0), window, stride, padded, share)
    return (pad_maps(whole, tuple((-low, -high) for low, high in padding)),)


_by_place.defvjp(_forward, _backward)
