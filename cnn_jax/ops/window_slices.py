"""What a window sees that slides over maps [B, H, W, C], and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int8, Shaped

HW = tuple[int, int]  # of height and width
Pads = tuple[tuple[int, int], tuple[int, int]]  # (above, below), (left, right)


def height_width(array: jax.Array, axis: int = 1) -> HW:
    """Of maps; those of a kernel begin at axis 0."""
    return array.shape[axis], array.shape[axis + 1]


def pad_maps(
    x: Shaped[Array, "b h w c"], pads: Pads, value: float | int = 0.0
) -> Shaped[Array, "b h2 w2 c"]:
    """`x` with `value` around it; pads may be negative."""
    config = [(0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)]
    return lax.pad(x, jnp.array(value, x.dtype), config)


def crop(pads: Pads) -> Pads:
    """What takes padding off again."""
    (above, below), (left, right) = pads
    return (-above, -below), (-left, -right)


def window_slices(
    x: Shaped[Array, "b h w c"], window: HW, stride: HW
) -> Iterator[tuple[int, int, jax.Array]]:
    """(row, column, [B, H', W', C]) for every place in the window, row by row.

    The array holds the pixels that all windows have at that place.
    """
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], window, stride, strict=True))
    for i in range(window[0]):
        for j in range(window[1]):
            last = (x.shape[0], i + (rows - 1) * stride[0] + 1, j + (columns - 1) * stride[1] + 1)
            yield i, j, lax.slice(x, (0, i, j, 0), (*last, x.shape[3]), (1, *stride, 1))


def scatter_windows(
    arrays: tuple[Shaped[Array, "b oh ow c"], ...],
    fills: tuple[float | int, ...],
    window: HW,
    stride: HW,
    size: HW,
    contribution: Callable[..., jax.Array],
) -> Shaped[Array, "b h w c"]:
    """[B, H, W, C] of `size`: at each pixel, the sum of what the windows over it give it.

    `arrays` hold one value a window, [B, H', W', C], and `fills` what stands for a window that does
    not exist. `contribution(i, j, *arrays)` is what a window gives to its pixel (i, j). Pixels of
    one phase of the stride have the same places in their windows, so that each phase is a sum of
    shifted maps, and the phases are woven together at the end.
    """
    reach = [-(-k // s) for k, s in zip(window, stride, strict=True)]
    count = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    down, across = arrays[0].shape[1:3]
    pads = (reach[0] - 1, count[0] - down), (reach[1] - 1, count[1] - across)
    arrays = tuple(pad_maps(a, pads, f) for a, f in zip(arrays, fills, strict=True))

    def phase(p: int, q: int) -> jax.Array:
        total = None
        for a in range(reach[0]):
            for b in range(reach[1]):
                i, j = a * stride[0] + p, b * stride[1] + q
                if i >= window[0] or j >= window[1]:
                    continue
                top, left = reach[0] - 1 - a, reach[1] - 1 - b
                part = contribution(
                    i, j, *(m[:, top : top + count[0], left : left + count[1]] for m in arrays)
                )
                total = part if total is None else total + part
        if total is None:  # pixels that a stride beyond the window skips
            shape = (arrays[0].shape[0], *count, arrays[0].shape[3])
            return jnp.zeros(shape, arrays[0].dtype)
        return total

    if math.prod(stride) == 1:
        return phase(0, 0)[:, : size[0], : size[1]]
    rows = [
        jnp.stack([phase(p, q) for q in range(stride[1])], 3) for p in range(stride[0])
    ]  # each [B, h, w, columns, C]
    woven = jnp.stack(rows, 2)
    batch, channels = woven.shape[0], woven.shape[-1]
    whole = woven.reshape(batch, count[0] * stride[0], count[1] * stride[1], channels)
    return whole[:, : size[0], : size[1]]


def gather_windows(
    place: Int8[Array, "b oh ow c"],
    values: Shaped[Array, "b oh ow c"],
    window: HW,
    stride: HW,
    size: HW,
) -> Shaped[Array, "b h w c"]:
    """[B, H, W, C] of `size`: at each pixel, the sum of the `values` of windows whose place it is.

    `place` is a pixel's number in its window, row by row, at most 127. Every pixel asks the few
    windows that cover it: one pass that writes in order, as an accelerator likes it. Sums are
    float32.
    """
    reach = [-(-k // s) for k, s in zip(window, stride, strict=True)]
    pixels = [np.arange(n) for n in size]
    total = jnp.zeros((place.shape[0], *size, place.shape[3]), jnp.float32)
    for a in range(reach[0]):
        for b in range(reach[1]):
            row, column = (p % s + x * s for p, s, x in zip(pixels, stride, (a, b), strict=True))
            number = row[:, None] * window[1] + column[None, :]
            beyond = (row >= window[0])[:, None] | (column >= window[1])[None, :]
            wanted = np.where(beyond, -2, number).astype(np.int8)[None, :, :, None]
            places, given = (
                covering(maps, (a, b), stride, size, fill)
                for maps, fill in ((place, -1), (values, 0))
            )
            total += jnp.where(places == wanted, given.astype(jnp.float32), 0.0)
    return total.astype(values.dtype)


def covering(
    maps: Shaped[Array, "b oh ow c"], back: HW, stride: HW, size: HW, fill: float | int
) -> Shaped[Array, "b h w c"]:
    """[B, H, W, C] of `size`: at each pixel, what `maps` have at the last window that begins at or
    before it, or so many windows `back`; `fill` where there is no such window.
    """
    count = [-(-n // s) for n, s in zip(size, stride, strict=True)]
    rows, columns = (
        (x, n - x - outputs) for x, n, outputs in zip(back, count, maps.shape[1:3], strict=True)
    )
    x = pad_maps(maps, (rows, columns), fill)
    x = lax.broadcast_in_dim(
        x,
        (x.shape[0], count[0], stride[0], count[1], stride[1], x.shape[3]),
        (0, 1, 3, 5),
    )
    x = x.reshape(x.shape[0], count[0] * stride[0], count[1] * stride[1], -1)
    return x[:, : size[0], : size[1]]
