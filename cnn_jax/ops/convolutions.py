"""Convolutions of maps [B, H, W, C] with kernels [h, w, C / groups, features].

On the CPU XLA computes most of them well once they are kept off YNNPACK, but some forms take up to
800 times as long as they need: those are written otherwise here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import fast_on_cpu, takes_native, wants_space_to_depth
from cnn_jax.ops.window_slices import Pads, Sides, pad_maps, spread, taps

LAYOUT = ("NHWC", "HWIO", "NHWC")
WIDTH = 32  # channels of one convolution that groups are joined to
NARROW = 8  # channels that fill no vector
COLOURS = 4  # channels of an image, at most
WIDE = 128  # channels that XLA convolves as fast as it can be done


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    stride: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: object = LAYOUT,
    feature_group_count: int = 1,
    **options: object,
) -> jax.Array:
    """`jax.lax.conv_general_dilated`; another form of the same on the CPU, where one is faster.

    It has that function's signature, so that `nn.Conv(conv_general_dilated=convolution)` takes it.
    """
    dilated = any(d != 1 for d in (*(lhs_dilation or ()), *(rhs_dilation or ())))
    stem = x.shape[-1] <= COLOURS and feature_group_count == 1 and max(stride) > 1
    if x.ndim == 4 and not dilated and stem and wants_space_to_depth():
        return in_blocks(x, kernel, tuple(stride), pairs(x, kernel, stride, padding))
    if x.ndim != 4 or dilated or not fast_on_cpu():
        return lax.conv_general_dilated(
            x,
            kernel,
            stride,
            padding,
            lhs_dilation=lhs_dilation,
            rhs_dilation=rhs_dilation,
            dimension_numbers=dimension_numbers,
            feature_group_count=feature_group_count,
            **options,
        )
    stride = tuple(stride)
    kernel, pads = trim(kernel, x.shape[1:3], stride, pairs(x, kernel, stride, padding))
    channels, features = x.shape[-1], kernel.shape[-1]
    if feature_group_count > 1 and takes_native(x, kernel):
        return with_native(x, kernel, stride, pads)
    if feature_group_count == channels == features:
        return depthwise(x, kernel, stride, pads)
    if feature_group_count > 1:
        return grouped(x, kernel, stride, pads, feature_group_count)
    if kernel.shape[:2] == (1, 1):
        return pointwise(pad_maps(x, pads)[:, :: stride[0], :: stride[1]], kernel)
    if x.shape[1] * x.shape[2] < kernel.shape[0] * kernel.shape[1]:
        return tiny(x, kernel, stride, pads)
    if not takes_native(x, kernel):
        width = x.shape[2] + sum(pads[1])
        small = width <= NARROW * kernel.shape[1] and channels * features <= NARROW * 16
        if stride == (1, 1) and channels <= NARROW and small:
            return narrow(x, kernel, pads)
        if stem and stride == (2, 2) and min(kernel.shape[:2]) > 4:
            return in_blocks(x, kernel, stride, pads)
    return ordinary(x, kernel, stride, pads)


def pairs(
    x: jax.Array, kernel: jax.Array, stride: Sequence[int], padding: str | Sequence[tuple[int, int]]
) -> Pads:
    """Padding as numbers."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], stride, padding)
    return tuple(padding)


def trim(
    kernel: jax.Array, size: Sides, stride: Sides, padding: Sequence[tuple[int, int]]
) -> tuple[jax.Array, Pads]:
    """Kernel and padding without the rows and columns that see nothing but padding.

    On a map of one pixel a 3x3 kernel is a 1x1 kernel.
    """
    pads = []
    for axis, (n, s, (low, high)) in enumerate(zip(size, stride, padding, strict=True)):
        k = kernel.shape[axis]
        far = (n + low + high - k) // s * s  # where the last window begins
        first, last = max(0, low - far), min(k, low + n)
        if (first, last) == (0, k):
            pads.append((low, high))
        else:
            kernel = lax.slice_in_dim(kernel, first, last, axis=axis)
            pads.append((low - first, far + last - n - low))
    return kernel, tuple(pads)


def tiny(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads) -> jax.Array:
    """Maps smaller than the kernel: for each output pixel one product, of what it sees.

    XLA would take such maps for the kernel, in a layout that has no fast form.
    """

    def seen(axis: int) -> list[tuple[slice, slice]]:
        """For each output position: the part of the map, the part of the kernel on it."""
        n, k, s, (low, high) = x.shape[1 + axis], kernel.shape[axis], stride[axis], pads[axis]
        starts = range(-low, n + high - k + 1, s)
        return [
            (slice(max(0, at), min(n, at + k)), slice(max(0, -at), min(k, n - at))) for at in starts
        ]

    def pixel(map_rows: slice, rows: slice, map_columns: slice, columns: slice) -> jax.Array:
        inputs = x[:, map_rows, map_columns].reshape(x.shape[0], -1)
        return inputs @ kernel[rows, columns].reshape(-1, kernel.shape[-1])

    return jnp.stack(
        [jnp.stack([pixel(*row, *column) for column in seen(1)], 1) for row in seen(0)], 1
    )


def in_blocks(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads) -> jax.Array:
    """A stride taken out: the pixels of a block of its size become channels of one pixel.

    Of a first layer's few channels this makes enough for the units that multiply vectors or tiles.
    """
    (batch, *size, channels), window = x.shape, kernel.shape[:2]
    reach = [-(-k // s) for k, s in zip(window, stride, strict=True)]  # blocks under the kernel
    seen, more = [], []
    for n, k, s, r, (low, high) in zip(size, window, stride, reach, pads, strict=True):
        outputs = (n + low + high - k) // s + 1
        seen.append((low, s * (outputs + r - 1) - n - low))
        more.append((0, r * s - k, 0))
    x = pad_maps(x, tuple(seen))
    down, across = (n // s for n, s in zip(x.shape[1:3], stride, strict=True))
    x = x.reshape(batch, down, stride[0], across, stride[1], channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, down, across, -1)
    kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*more, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(reach[0], stride[0], reach[1], stride[1], channels, -1)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(*reach, x.shape[-1], -1)
    return ordinary(x, kernel, (1, 1), ((0, 0), (0, 0)))


def ordinary(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads) -> jax.Array:
    if takes_native(x, kernel):
        return with_native(x, kernel, stride, pads)
    return lax.conv_general_dilated(x, kernel, stride, pads, dimension_numbers=LAYOUT)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def with_native(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads) -> jax.Array:
    """From `WIDE` channels on XLA's forward pass is as fast; of the gradients either is not.

    Groups are as many as the kernel's channels go into those of the maps.
    """
    groups = x.shape[-1] // kernel.shape[2]
    convolve = functools.partial(
        lax.conv_general_dilated,
        window_strides=stride,
        padding=pads,
        dimension_numbers=LAYOUT,
        feature_group_count=groups,
    )
    if groups == 1 and x.shape[-1] >= WIDE:
        return convolve(x, kernel)
    shape = jax.eval_shape(convolve, x, kernel).shape
    return cpu_kernels.forward(x, kernel, shape, stride, (pads[0][0], pads[1][0]))


def _native_forward(x, kernel, stride, pads):
    return with_native(x, kernel, stride, pads), (x, kernel)


def _native_backward(stride, pads, kept, gradient):
    x, kernel = kept
    corner = pads[0][0], pads[1][0]
    return (
        cpu_kernels.input_gradient(gradient, kernel, x.shape, stride, corner),
        cpu_kernels.kernel_gradient(x, gradient, kernel.shape, stride, corner),
    )


with_native.defvjp(_native_forward, _native_backward)


@jax.custom_vjp
def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 1x1 convolution, as one product of matrices."""
    return x @ kernel[0, 0]


def _pointwise_forward(x, kernel):
    return x @ kernel[0, 0], (x, kernel)


def _pointwise_backward(kept, gradient):
    # Without the barrier XLA computes what made `gradient` again inside each of the two products.
    x, gradient = lax.optimization_barrier((kept[0], gradient))
    rows, columns = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    if rows.shape[1] <= columns.shape[1]:
        product = rows.T @ columns
    else:  # a tall product takes up to 3.5 times as long as a wide one
        product = lax.optimization_barrier(columns.T @ rows).T
    return gradient @ kept[1][0, 0].T, product[None, None]


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads) -> jax.Array:
    """Each channel by a kernel of its own, [h, w, 1, C], as a sum of shifted products."""
    total = None
    for i, j, seen in taps(pad_maps(x, pads), kernel.shape[:2], stride):
        part = seen * kernel[i, j, 0]
        total = part if total is None else total + part
    return total


def _depthwise_forward(x, kernel, stride, pads):
    return depthwise(x, kernel, stride, pads), (x, kernel)


def _depthwise_backward(stride, pads, kept, gradient):
    x, kernel = kept
    x, gradient = lax.optimization_barrier((x, gradient))
    window = kernel.shape[:2]
    padded = pad_maps(x, pads)

    def share(i: int, j: int, gradient: jax.Array) -> jax.Array:
        return gradient * kernel[i, j, 0]

    whole = spread((gradient,), (0,), window, stride, padded.shape[1:3], share)
    x_gradient = pad_maps(whole, tuple((-low, -high) for low, high in pads))

    # A loop over the images keeps the sums of all places in the cache.
    def add(sums: list[jax.Array], image: tuple[jax.Array, jax.Array]):
        one, gradient = image
        places = taps(one[None], window, stride)
        return [s + seen[0] * gradient for s, (_, _, seen) in zip(sums, places, strict=True)], None

    zeros = [jnp.zeros(gradient.shape[1:], gradient.dtype)] * (window[0] * window[1])
    sums, _ = lax.scan(add, zeros, (padded, gradient))
    return x_gradient, jnp.stack([s.sum((0, 1)) for s in sums]).reshape(kernel.shape)


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def grouped(x: jax.Array, kernel: jax.Array, stride: Sides, pads: Pads, groups: int) -> jax.Array:
    """Convolutions side by side, narrow groups joined to one with zeros between them."""
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    together = next(
        n for n in range(min(groups, max(1, WIDTH // inputs)), 0, -1) if groups % n == 0
    )
    apart = jnp.eye(together, dtype=kernel.dtype)[:, None, :, None]
    parts = []
    for first in range(0, groups, together):
        last = first + together
        part = kernel[..., first * outputs : last * outputs]
        if together > 1:
            blocks = part.reshape(*part.shape[:2], 1, inputs, together, outputs) * apart
            part = blocks.reshape(*part.shape[:2], together * inputs, together * outputs)
        parts.append(ordinary(x[..., first * inputs : last * inputs], part, stride, pads))
    return jnp.concatenate(parts, -1)


def narrow(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """Rows of the maps times band matrices that hold the kernel once for each column.

    It multiplies by many zeros, and is fast because it is one product of matrices.
    """
    x = pad_maps(x, pads)
    batch, rows, columns, _ = x.shape
    height, width, _, features = kernel.shape
    out = rows - height + 1, columns - width + 1
    seen = jnp.concatenate([x[:, i : i + out[0]] for i in range(height)], 2)
    place = np.arange(columns)[:, None, None] - np.arange(out[1])[None, :, None]
    band = (place == np.arange(width)).astype(kernel.dtype)  # [column, output column, width]
    bands = jnp.einsum("pow,hwcf->hpcof", band, kernel, precision="highest")
    bands = bands.reshape(-1, out[1] * features)
    return (seen.reshape(batch * out[0], -1) @ bands).reshape(batch, *out, features)
