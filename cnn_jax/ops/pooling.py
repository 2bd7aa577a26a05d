"""Maximum over windows, and over a whole axis.

XLA expands the gradient of its own (`select_and_scatter`) to a search of every window and a
scatter: 11 to 20 times slower on a CPU than what is here, and two fifths of GoogLeNet's step on a
GPU. The forward pass keeps the place of each maximum in a byte.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import use_cpu_kernels, use_cpu_ops, use_gpu_ops, use_portable_ops
from cnn_jax.ops.window_slices import (
    HW,
    Pads,
    crop,
    gather_windows,
    pad_maps,
    scatter_windows,
    window_slices,
)

Residuals = tuple[jax.Array, jax.Array]
MAX_PLACES = 127  # of a window, that a byte can tell apart


def max_pool(
    x: Float[Array, "b h w c"], window: HW, stride: HW, padding: Pads
) -> Float[Array, "b oh ow c"]:
    """The maximum of every window; padding never wins.

    The gradient goes to the first maximum of a window, row by row.
    """
    if use_portable_ops():
        padded = jnp.pad(x, [(0, 0), *padding, (0, 0)], constant_values=-np.inf)
        return nn.max_pool(padded, window_shape=window, strides=stride, padding="VALID")
    if (use_cpu_ops() or use_gpu_ops()) and window[0] * window[1] <= MAX_PLACES:
        return _max_by_place(x, window, stride, padding)
    return lax.reduce_window(
        x,
        np.array(-np.inf, x.dtype),
        lax.max,
        window_dimensions=(1, *window, 1),
        window_strides=(1, *stride, 1),
        padding=[(0, 0), *padding, (0, 0)],
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_by_place(x: jax.Array, window: HW, stride: HW, padding: Pads) -> jax.Array:
    if use_cpu_kernels(x, kernel="max_pool"):
        return _cpu_kernel(x, window, stride, padding)[0]
    slices = window_slices(pad_maps(x, padding, -np.inf), window, stride)
    return functools.reduce(jnp.maximum, (pixels for _, _, pixels in slices))


def _cpu_kernel(x: jax.Array, window: HW, stride: HW, padding: Pads) -> tuple[jax.Array, ...]:
    sides = zip(x.shape[1:3], window, stride, padding, strict=True)
    out = ((n + low + high - k) // s + 1 for n, k, s, (low, high) in sides)
    corner = padding[0][0], padding[1][0]
    return cpu_kernels.max_pool(x, window, (x.shape[0], *out, x.shape[3]), stride, corner)


def _forward(x: jax.Array, window: HW, stride: HW, padding: Pads) -> tuple[jax.Array, Residuals]:
    size = jnp.zeros((0, *x.shape[1:3]), jnp.int8)  # carries the shape of x, and no data
    if use_cpu_kernels(x, kernel="max_pool"):
        best, place = _cpu_kernel(x, window, stride, padding)
        return best, (place, size)
    slices = window_slices(pad_maps(x, padding, -np.inf), window, stride)
    _, _, best = next(slices)
    place = jnp.zeros(best.shape, jnp.int8)
    for i, j, pixels in slices:
        place = jnp.where(pixels > best, jnp.int8(i * window[1] + j), place)
        best = jnp.maximum(best, pixels)
    return best, (place, size)


def _backward(
    window: HW, stride: HW, padding: Pads, residuals: Residuals, gradient: jax.Array
) -> tuple[jax.Array]:
    place, size = residuals
    if use_cpu_kernels(gradient, kernel="max_pool"):
        shape = (gradient.shape[0], *size.shape[1:], gradient.shape[3])
        corner = padding[0][0], padding[1][0]
        return (cpu_kernels.max_pool_gradient(place, gradient, window, shape, stride, corner),)
    padded = size.shape[1] + sum(padding[0]), size.shape[2] + sum(padding[1])
    if use_gpu_ops():
        whole = gather_windows(place, gradient, window, stride, padded)
        return (pad_maps(whole, crop(padding)),)

    def contribution(i: int, j: int, place: jax.Array, gradient: jax.Array) -> jax.Array:
        return jnp.where(place == i * window[1] + j, gradient, 0)

    whole = scatter_windows((place, gradient), (-1, 0), window, stride, padded, contribution)
    return (pad_maps(whole, crop(padding)),)


_max_by_place.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def axis_max(x: Float[Array, "*n"], axis: int) -> Float[Array, "*m"]:
    """The maximum along `axis`, which goes; the gradient goes to the first of equal entries.

    JAX divides the gradient among the entries that equal the maximum. Where XLA computes `x` again
    for the backward pass and rounds it otherwise, none does, and 0 / 0 is the gradient.
    """
    return x.max(axis)


def _axis_max_forward(x: jax.Array, axis: int) -> tuple[jax.Array, Residuals]:
    size = jnp.zeros((0, x.shape[axis]), jnp.int8)  # carries the length of the axis, and no data
    return x.max(axis), (x.argmax(axis), size)


def _axis_max_backward(axis: int, residuals: Residuals, gradient: jax.Array) -> tuple[jax.Array]:
    place, size = residuals[0], residuals[1].shape[1]
    rank = gradient.ndim + 1
    shape = tuple(size if i == axis % rank else 1 for i in range(rank))
    entries = jnp.arange(size).reshape(shape)
    chosen = entries == jnp.expand_dims(place, axis)
    return (jnp.where(chosen, jnp.expand_dims(gradient, axis), 0),)


axis_max.defvjp(_axis_max_forward, _axis_max_backward)
