"""Pools of maps: maximum, mean, over windows, the whole map, or bins of any size."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.layers.convolutions import Padding, pad_pairs
from cnn_jax.models.layers.shapes import Maps, Vectors

Pooling = Literal["avg", "max"]


def pool_pads(
    x: Maps, window: int, stride: int, padding: Padding, ceil: bool
) -> list[tuple[int, int]]:
    """Explicit pads for a pool; `ceil` adds the rows that Caffe's and torch's ceil mode adds."""
    pads = pad_pairs(padding)
    if isinstance(pads, str):
        sizes = jax.lax.padtype_to_pads(x.shape[1:3], (window, window), (stride, stride), pads)
        pads = [(low, high) for low, high in sizes]
    if not ceil:
        return pads
    out = []
    for n, (low, high) in zip(x.shape[1:3], pads, strict=True):
        steps = -(-(n + low + high - window) // stride)
        if steps * stride >= n + low:  # no window may start in the padding on the far side
            steps -= 1
        out.append((low, max(high, steps * stride + window - n - low)))
    return out


def max_pool(
    x: Maps, window: int, stride: int, *, padding: Padding = "VALID", ceil: bool = False
) -> Maps:
    """Maximum over `window` x `window`, every `stride`; padding never wins."""
    rows, columns = pool_pads(x, window, stride, padding, ceil)
    return ops.max_pool(x, (window, window), (stride, stride), (rows, columns))


def avg_pool(
    x: Maps,
    window: int,
    stride: int,
    *,
    padding: Padding = "VALID",
    ceil: bool = False,
    count_padding: bool = True,
) -> Maps:
    """Mean over `window` x `window`, every `stride`; `count_padding` divides by the full window.

    The rows that `ceil` adds are never counted, as in torch.
    """
    pads: Any = pool_pads(x, window, stride, padding, ceil)
    if ceil and count_padding:
        counted = pool_pads(x, window, stride, padding, ceil=False)
        x = jnp.pad(x, [(0, 0), *counted, (0, 0)])
        pads = [(0, high - done) for (_, high), (_, done) in zip(pads, counted, strict=True)]
        count_padding = False
    sizes: Any = {"window_shape": (window, window), "strides": (stride, stride)}
    if not ops.use_portable_ops():
        return nn.avg_pool(x, padding=pads, count_include_pad=count_padding, **sizes)
    y = nn.avg_pool(jnp.pad(x, [(0, 0), *pads, (0, 0)]), padding="VALID", **sizes)
    if count_padding:
        return y
    ones = jnp.pad(jnp.ones((1, *x.shape[1:3], 1), x.dtype), [(0, 0), *pads, (0, 0)])
    return y / nn.avg_pool(ones, padding="VALID", **sizes)


def window_pool(kind: Pooling, x: Maps, window: int, stride: int, **options: Any) -> Maps:
    """`max_pool` or `avg_pool` by name, where the kind is an option of the net."""
    return {"avg": avg_pool, "max": max_pool}[kind](x, window, stride, **options)


def global_pool(kind: Pooling, x: Maps) -> Vectors:
    """[B, H, W, C] -> [B, C]: the mean or the maximum of each map."""
    if kind == "avg":
        return x.mean((1, 2))
    batch, height, width, channels = x.shape
    return ops.axis_max(x.reshape(batch, height * width, channels), 1)


def adaptive_avg_pool(x: Maps, size: int) -> Maps:
    """[B, H, W, C] -> [B, size, size, C]: means over bins that cover the map, as torch cuts them.

    Bin i of n pixels runs from floor(i n / size) to ceil((i + 1) n / size); bins overlap where
    size does not divide n, and repeat pixels where size exceeds n.
    """
    if x.shape[1:3] == (size, size):
        return x

    def means(n: int) -> jax.Array:
        start = [i * n // size for i in range(size)]
        stop = [-(-(i + 1) * n // size) for i in range(size)]
        rows = [
            [(a <= j < b) / (b - a) for j in range(n)] for a, b in zip(start, stop, strict=True)
        ]
        return jnp.array(rows, x.dtype)

    rows, columns = means(x.shape[1]), means(x.shape[2])
    return jnp.einsum("bhwc,ih,jw->bijc", x, rows, columns, precision="highest")
