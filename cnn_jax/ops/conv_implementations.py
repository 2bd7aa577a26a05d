"""The implementations that `convolutions.TABLE` chooses from.

Each has the arguments maps [B, H, W, C], kernel [h, w, C / groups, F], stride and explicit padding,
and returns [B, H', W', F]; there are as many groups as the kernel's channels go into the maps'.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.ops import cpu_kernels
from cnn_jax.ops.dispatch import use_cpu_kernels
from cnn_jax.ops.window_slices import (
    HW,
    Pads,
    crop,
    height_width,
    pad_maps,
    scatter_windows,
    window_slices,
)

LAYOUT = ("NHWC", "HWIO", "NHWC")
JOINED_CHANNELS = 32  # of one convolution that groups are joined to
ALIGNED_CHANNELS = 8  # of 16 bits: what the matrix units of a GPU read at once
# XLA's forward pass is as fast from so many channels on where pixels are few (the kernel's weights
# take as long to be packed as to be used), or where a vector holds few floats (not measured).
WIDE_CHANNELS, FEW_PIXELS, FEW_LANES = 128, 256, 4
# On AVX2 a product takes up to twice as long to read columns whose numbers, a multiple of so many
# floats apart, share few lines of a cache. It is worth a copy that stays in the cache.
ALIASED_CHANNELS, AVX2_LANES, MOST_COPIED = 128, 8, 2 << 20

Maps = Float[Array, "b h w c"]
Kernel = Float[Array, "kh kw ci f"]
Out = Float[Array, "b oh ow f"]
Residuals = tuple[jax.Array, jax.Array]


def xla_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """XLA's own."""
    groups = x.shape[-1] // kernel.shape[2]
    return lax.conv_general_dilated(
        x, kernel, stride, pads, dimension_numbers=LAYOUT, feature_group_count=groups
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def cpu_kernel_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """The compiled kernels'.

    From `WIDE_CHANNELS` on XLA's forward pass can be as fast; its gradients are not.
    """
    convolve = functools.partial(xla_conv, stride=stride, pads=pads)
    if not has_kernel("forward", x, kernel):
        return convolve(x, kernel)
    shape, lanes = jax.eval_shape(convolve, x, kernel).shape, cpu_kernels.lanes()
    xla_is_as_fast = lanes <= FEW_LANES or math.prod(shape[:-1]) < FEW_PIXELS
    if xla_is_as_fast and x.shape[-1] == kernel.shape[2] >= WIDE_CHANNELS:
        return convolve(x, kernel)
    return cpu_kernels.forward(x, kernel, shape, stride, (pads[0][0], pads[1][0]))


def _cpu_kernel_conv_forward(
    x: Maps, kernel: Kernel, stride: HW, pads: Pads
) -> tuple[Out, Residuals]:
    return cpu_kernel_conv(x, kernel, stride, pads), (x, kernel)


def _cpu_kernel_conv_backward(
    stride: HW, pads: Pads, residuals: Residuals, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    corner = pads[0][0], pads[1][0]
    convolve = functools.partial(xla_conv, stride=stride, pads=pads)
    if has_kernel("input_gradient", x, kernel):
        by_x = cpu_kernels.input_gradient(gradient, kernel, x.shape, stride, corner)
    else:
        by_x = jax.vjp(lambda x: convolve(x, kernel), x)[1](gradient)[0]
    if has_kernel("kernel_gradient", x, kernel):
        by_kernel = cpu_kernels.kernel_gradient(x, gradient, kernel.shape, stride, corner)
    else:
        by_kernel = jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](gradient)[0]
    return by_x, by_kernel


cpu_kernel_conv.defvjp(_cpu_kernel_conv_forward, _cpu_kernel_conv_backward)


def has_kernel(name: str, x: jax.Array, kernel: jax.Array) -> bool:
    """Whether it is enabled; of groups all are, or `TABLE` would not have chosen them."""
    return x.shape[-1] != kernel.shape[2] or name in cpu_kernels.enabled()


def direct_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """By the compiled kernels where there are any, else by XLA."""
    convolve = cpu_kernel_conv if use_cpu_kernels(x, kernel) else xla_conv
    return convolve(x, kernel, stride, pads)


def per_pixel_matmul(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """Maps smaller than the kernel: for each output pixel one product, of what its window covers.

    XLA would take such maps for the kernel, in a layout that has no fast form.
    """

    def windows(axis: int) -> list[tuple[slice, slice]]:
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
        [jnp.stack([pixel(*row, *column) for column in windows(1)], 1) for row in windows(0)], 1
    )


def space_to_depth_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """A stride taken out: the pixels of a block of its size become channels of one pixel.

    Of a first layer's few channels this makes enough for the units that multiply vectors or tiles.
    """
    (batch, *size, channels), window = x.shape, kernel.shape[:2]
    reach = [-(-k // s) for k, s in zip(window, stride, strict=True)]  # blocks under the kernel
    map_pads, kernel_pads = [], []
    for n, k, s, r, (low, high) in zip(size, window, stride, reach, pads, strict=True):
        outputs = (n + low + high - k) // s + 1
        map_pads.append((low, s * (outputs + r - 1) - n - low))
        kernel_pads.append((0, r * s - k, 0))
    x = pad_maps(x, (map_pads[0], map_pads[1]))
    down, across = (n // s for n, s in zip(x.shape[1:3], stride, strict=True))
    x = x.reshape(batch, down, stride[0], across, stride[1], channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, down, across, -1)
    kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*kernel_pads, (0, 0, 0), (0, 0, 0)])
    kernel = kernel.reshape(reach[0], stride[0], reach[1], stride[1], channels, -1)
    kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(*reach, x.shape[-1], -1)
    return direct_conv(x, kernel, (1, 1), ((0, 0), (0, 0)))


def aligned_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """With channels of zeros, so many that the matrix units of a GPU read them at once."""
    x, kernel = more_channels(x, kernel, ALIGNED_CHANNELS)
    return xla_conv(x, kernel, stride, pads)


def aligned_space_to_depth_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """`space_to_depth_conv` of blocks with as many numbers as `aligned_conv` has channels."""
    block = stride[0] * stride[1]
    x, kernel = more_channels(x, kernel, ALIGNED_CHANNELS // math.gcd(ALIGNED_CHANNELS, block))
    return space_to_depth_conv(x, kernel, stride, pads)


def more_channels(
    x: Maps, kernel: Kernel, multiple: int
) -> tuple[Float[Array, "b h w c2"], Float[Array, "kh kw c2 f"]]:
    """Both with channels of zeros, up to a multiple of so many."""
    extra = (0, -x.shape[-1] % multiple, 0)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0)] * 3 + [extra])
    kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [(0, 0, 0)] * 2 + [extra, (0, 0, 0)])
    return x, kernel


def pointwise_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """A 1x1 convolution, as one product of matrices."""
    return _pointwise_matmul(pad_maps(x, pads)[:, :: stride[0], :: stride[1]], kernel)


@jax.custom_vjp
def _pointwise_matmul(x: Maps, kernel: Float[Array, "1 1 c f"]) -> Float[Array, "b h w f"]:
    return x @ kernel[0, 0]


def _pointwise_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Residuals]:
    return x @ kernel[0, 0], (x, kernel)


def _pointwise_backward(
    residuals: Residuals, gradient: jax.Array
) -> tuple[jax.Array, Float[Array, "1 1 c f"]]:
    # Without the barrier XLA computes what made `gradient` again inside each of the two products.
    x, gradient = lax.optimization_barrier((residuals[0], gradient))
    rows, columns = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
    if rows.shape[1] <= columns.shape[1]:
        product = _transposed(rows) @ columns
    else:  # a tall product takes up to 3.5 times as long as a wide one
        product = lax.optimization_barrier(_transposed(columns) @ rows).T
    return gradient @ residuals[1][0, 0].T, product[None, None]


def _transposed(x: Float[Array, "pixels c"]) -> Float[Array, "c pixels"]:
    """In memory too, where a product reads columns slowly: see `ALIASED_CHANNELS`."""
    aliased = x.shape[1] % ALIASED_CHANNELS == 0 and x.size <= MOST_COPIED
    if aliased and cpu_kernels.lanes() == AVX2_LANES:
        return lax.optimization_barrier(x.T)
    return x.T


_pointwise_matmul.defvjp(_pointwise_forward, _pointwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_conv(
    x: Float[Array, "b h w f"], kernel: Float[Array, "kh kw 1 f"], stride: HW, pads: Pads
) -> Out:
    """Each channel by a kernel of its own, as a sum of shifted products."""
    total = None
    for i, j, pixels in window_slices(pad_maps(x, pads), height_width(kernel, 0), stride):
        part = pixels * lax.broadcast_to_rank(kernel[i, j, 0], 4)
        total = part if total is None else total + part
    assert total is not None  # a window has a place
    return total


def _depthwise_forward(
    x: jax.Array, kernel: jax.Array, stride: HW, pads: Pads
) -> tuple[jax.Array, Residuals]:
    return depthwise_conv(x, kernel, stride, pads), (x, kernel)


def _depthwise_backward(
    stride: HW, pads: Pads, residuals: Residuals, gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = residuals
    x, gradient = lax.optimization_barrier((x, gradient))
    window = height_width(kernel, 0)
    padded = pad_maps(x, pads)
    size = height_width(padded)

    def contribution(i: int, j: int, gradient: jax.Array) -> jax.Array:
        return gradient * lax.broadcast_to_rank(kernel[i, j, 0], 4)

    whole = scatter_windows((gradient,), (0,), window, stride, size, contribution)
    x_gradient = pad_maps(whole, crop(pads))

    # A loop over the images keeps the sums of all places in the cache.
    def add(sums: list[jax.Array], example: tuple[jax.Array, jax.Array]):
        image, gradient = example
        places = window_slices(image[None], window, stride)
        return [
            s + pixels[0] * gradient for s, (_, _, pixels) in zip(sums, places, strict=True)
        ], None

    zeros = [jnp.zeros(gradient.shape[1:], gradient.dtype)] * (window[0] * window[1])
    sums, _ = lax.scan(add, zeros, (padded, gradient))
    return x_gradient, jnp.stack([s.sum((0, 1)) for s in sums]).reshape(kernel.shape)


depthwise_conv.defvjp(_depthwise_forward, _depthwise_backward)


def grouped_conv(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """Convolutions side by side, narrow groups joined to one with zeros between them."""
    groups = x.shape[-1] // kernel.shape[2]
    inputs, outputs = kernel.shape[2], kernel.shape[3] // groups
    at_most = min(groups, max(1, JOINED_CHANNELS // inputs))
    together = next(n for n in range(at_most, 0, -1) if groups % n == 0)
    apart = jnp.eye(together, dtype=kernel.dtype)[None, None, :, None, :, None]
    parts = []
    for first in range(0, groups, together):
        last = first + together
        part = kernel[..., first * outputs : last * outputs]
        if together > 1:
            blocks = part.reshape(*part.shape[:2], 1, inputs, together, outputs) * apart
            part = blocks.reshape(*part.shape[:2], together * inputs, together * outputs)
        parts.append(direct_conv(x[..., first * inputs : last * inputs], part, stride, pads))
    return jnp.concatenate(parts, -1)


def banded_matmul(x: Maps, kernel: Kernel, stride: HW, pads: Pads) -> Out:
    """Rows of the maps times band matrices that hold the kernel once for each column; no strides.

    It multiplies by many zeros, and is fast because it is one product of matrices.
    """
    del stride
    x = pad_maps(x, pads)
    batch, rows, columns, _ = x.shape
    height, width, _, features = kernel.shape
    out = rows - height + 1, columns - width + 1
    row_windows = jnp.concatenate([x[:, i : i + out[0]] for i in range(height)], 2)
    place = np.arange(columns)[:, None, None] - np.arange(out[1])[None, :, None]
    band = (place == np.arange(width)).astype(kernel.dtype)  # [column, output column, width]
    bands = jnp.einsum("pow,hwcf->hpcof", band, kernel, precision="highest")
    bands = bands.reshape(-1, out[1] * features)
    return (row_windows.reshape(batch * out[0], -1) @ bands).reshape(batch, *out, features)
