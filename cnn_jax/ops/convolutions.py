"""Convolutions of maps [B, H, W, C] with kernels [h, w, C / groups, features].

On the CPU XLA computes most of them well once they are kept off YNNPACK, but some shapes take up to
800 times as long as they need: those have implementations of their own, chosen by `TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.ops.conv_implementations import (
    LAYOUT,
    aligned_conv,
    aligned_space_to_depth_conv,
    banded_matmul,
    cpu_kernel_conv,
    depthwise_conv,
    grouped_conv,
    per_pixel_matmul,
    pointwise_conv,
    space_to_depth_conv,
    xla_conv,
)
from cnn_jax.ops.dispatch import use_cpu_kernels, use_cpu_ops, use_gpu_ops, use_space_to_depth
from cnn_jax.ops.window_slices import HW, Pads, height_width

IMAGE_CHANNELS = 4  # of an image, at most
NARROW_CHANNELS = 8  # that fill no vector


class Conv(NamedTuple):
    """What the conditions of `TABLE` read of a convolution; the sizes are (height, width)."""

    size: HW
    channels: int
    window: HW
    features: int
    groups: int
    stride: HW
    padded_width: int
    on_cpu: bool  # and the forms for it are asked for
    on_gpu: bool  # likewise, and numbers have 16 bits
    has_kernels: bool  # of `cpu_kernels`, for these types
    space_to_depth: bool  # is asked for

    @property
    def reads_images(self) -> bool:
        return self.channels <= IMAGE_CHANNELS and self.groups == 1

    @property
    def is_stem(self) -> bool:
        """Reads an image with strides."""
        return self.reads_images and max(self.stride) > 1

    @property
    def is_narrow(self) -> bool:
        """So few numbers a row that a band matrix of the kernel stays small."""
        few = self.channels <= NARROW_CHANNELS
        few &= self.channels * self.features <= 16 * NARROW_CHANNELS
        return few and self.padded_width <= 8 * self.window[1] and self.stride == (1, 1)

    @property
    def is_smaller_than_window(self) -> bool:
        return self.size[0] * self.size[1] < self.window[0] * self.window[1]


Implementation = Callable[..., Any]  # (x, kernel, stride, pads) -> Array

# (condition, implementation): the first whose condition holds computes the convolution.
# None is XLA's own, with every option as it was given.
TABLE: tuple[tuple[Callable[[Conv], bool], Implementation | None], ...] = (
    (lambda c: c.on_gpu and c.is_stem, aligned_space_to_depth_conv),
    (lambda c: c.on_gpu and c.reads_images, aligned_conv),
    (lambda c: c.space_to_depth and c.is_stem, space_to_depth_conv),
    (lambda c: not c.on_cpu, None),
    (lambda c: c.groups > 1 and c.has_kernels, cpu_kernel_conv),
    (lambda c: c.groups == c.channels == c.features, depthwise_conv),
    (lambda c: c.groups > 1, grouped_conv),
    (lambda c: c.window == (1, 1), pointwise_conv),
    (lambda c: c.is_smaller_than_window, per_pixel_matmul),
    (lambda c: c.has_kernels, cpu_kernel_conv),
    (lambda c: c.is_narrow, banded_matmul),
    (lambda c: c.is_stem and c.stride == (2, 2) and min(c.window) > 4, space_to_depth_conv),
    (lambda c: True, xla_conv),
)


def choose(conv: Conv) -> Implementation | None:
    """The implementation of the first row of `TABLE` whose condition holds."""
    return next(implementation for condition, implementation in TABLE if condition(conv))


def convolution(
    x: Float[Array, "b *size c"],
    kernel: Float[Array, "*window ci f"],
    stride: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = LAYOUT,
    feature_group_count: int = 1,
    **options: Any,
) -> Float[Array, "b *out f"]:
    """`jax.lax.conv_general_dilated`; another form of the same on the CPU, where one is faster.

    It has that function's signature, so that `nn.Conv(conv_general_dilated=convolution)` takes it.
    """
    dilated = any(d != 1 for d in (*(lhs_dilation or ()), *(rhs_dilation or ())))
    if x.ndim == 4 and not dilated:
        strides, pads = (stride[0], stride[1]), explicit_padding(x, kernel, stride, padding)
        trimmed, trimmed_pads = kernel, pads
        if use_cpu_ops():
            trimmed, trimmed_pads = trim_kernel(kernel, height_width(x), strides, pads)
        conv = describe(x, trimmed, strides, trimmed_pads, feature_group_count)
        if implementation := choose(conv):
            return implementation(x, trimmed, strides, trimmed_pads)
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


def describe(x: jax.Array, kernel: jax.Array, stride: HW, pads: Pads, groups: int) -> Conv:
    by_channel = groups == x.shape[-1] == kernel.shape[-1]
    kind = "" if groups == 1 else "depthwise" if by_channel else "grouped"
    return Conv(
        size=height_width(x),
        channels=x.shape[-1],
        window=height_width(kernel, 0),
        features=kernel.shape[-1],
        groups=groups,
        stride=stride,
        padded_width=x.shape[2] + sum(pads[1]),
        on_cpu=use_cpu_ops(),
        on_gpu=use_gpu_ops() and x.dtype.itemsize == 2,
        has_kernels=use_cpu_kernels(x, kernel, kernel=kind),
        space_to_depth=use_space_to_depth(),
    )


def explicit_padding(
    x: jax.Array, kernel: jax.Array, stride: Sequence[int], padding: str | Sequence[tuple[int, int]]
) -> Pads:
    """Padding as numbers: ((above, below), (left, right))."""
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], stride, padding)
    rows, columns = padding
    return (rows[0], rows[1]), (columns[0], columns[1])


def trim_kernel(
    kernel: Float[Array, "h w ci f"], size: HW, stride: HW, pads: Pads
) -> tuple[Float[Array, "h2 w2 ci f"], Pads]:
    """Kernel and padding without the rows and columns that see nothing but padding.

    On a map of one pixel a 3x3 kernel is a 1x1 kernel.
    """
    trimmed = []
    for axis, (n, s, (low, high)) in enumerate(zip(size, stride, pads, strict=True)):
        k = kernel.shape[axis]
        far = (n + low + high - k) // s * s  # where the last window begins
        first, last = max(0, low - far), min(k, low + n)
        if (first, last) == (0, k):
            trimmed.append((low, high))
        else:
            kernel = lax.slice_in_dim(kernel, first, last, axis=axis)
            trimmed.append((low - first, far + last - n - low))
    return kernel, (trimmed[0], trimmed[1])
