"""The compared nets as Flax's ImageNet example writes its ResNet: nn.Conv, nn.BatchNorm, no more.

Shapes and counts are those of our nets; nothing here is imported by them. Functions of one net are
given `conv` and `norm` with what its layers share.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models.efficientnet import STAGES  # table 1 of the paper

Layer = Callable[..., Any]


def layers(dtype: Any, train: bool, momentum: float) -> tuple[Layer, Layer]:
    """(conv without a bias, norm), as the example makes them."""
    conv = functools.partial(nn.Conv, use_bias=False, dtype=dtype)
    norm = functools.partial(
        nn.BatchNorm, use_running_average=not train, momentum=momentum, epsilon=1e-5, dtype=dtype
    )
    return conv, norm


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times as many channels; a projected shortcut."""

    features: int
    stride: int
    conv: Layer
    norm: Layer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        strides = (self.stride, self.stride)
        y = nn.relu(self.norm()(self.conv(self.features, (1, 1))(x)))
        y = nn.relu(self.norm()(self.conv(self.features, (3, 3), strides)(y)))
        y = self.conv(4 * self.features, (1, 1))(y)
        y = self.norm(scale_init=nn.initializers.zeros_init())(y)
        if x.shape != y.shape:
            x = self.norm()(self.conv(4 * self.features, (1, 1), strides)(x))
        return nn.relu(x + y)


class ResNet50(nn.Module):
    """Images [B, 224, 224, 3] -> logits [B, 1000]; strides in the 3x3."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        conv, norm = layers(self.dtype, train, 0.9)
        x = conv(64, (7, 7), (2, 2), padding=[(3, 3), (3, 3)])(x)
        x = nn.relu(norm()(x))
        x = nn.max_pool(x, (3, 3), (2, 2), padding="SAME")
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = Bottleneck(64 * 2**stage, stride, conv, norm)(x)
        return nn.Dense(1000, dtype=self.dtype)(x.mean((1, 2)))


# 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection; None: a max-pool with stride 2.
INCEPTIONS = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    None,
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    None,
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
HEADS = (3, 6)  # places in INCEPTIONS (4a and 4d), after which a classifier stands


class GoogLeNet(nn.Module):
    """Images -> (logits, two heads' logits); BatchNorm in place of LRN and of biases."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> tuple[jax.Array, ...]:
        conv, norm = layers(self.dtype, train, 0.9)
        dense = functools.partial(nn.Dense, dtype=self.dtype)

        def unit(x: jax.Array, features: int, side: int, stride: int = 1) -> jax.Array:
            pads = [(side // 2, side // 2)] * 2
            return nn.relu(norm()(conv(features, (side, side), (stride, stride), pads)(x)))

        def inception(x: jax.Array, widths: tuple[int, ...]) -> jax.Array:
            one, reduce3, three, reduce5, five, projection = widths
            branches = [
                unit(x, one, 1),
                unit(unit(x, reduce3, 1), three, 3),
                unit(unit(x, reduce5, 1), five, 5),
                unit(nn.max_pool(x, (3, 3), padding="SAME"), projection, 1),
            ]
            return jnp.concatenate(branches, -1)

        def head(x: jax.Array) -> jax.Array:
            x = unit(nn.avg_pool(x, (5, 5), (3, 3)), 128, 1)
            x = nn.relu(dense(1024)(x.reshape(x.shape[0], -1)))
            return dense(1000)(nn.Dropout(0.7, deterministic=not train)(x))

        def pool(x: jax.Array) -> jax.Array:
            return nn.max_pool(x, (3, 3), (2, 2), padding="SAME")

        heads = []
        x = pool(unit(x, 64, 7, 2))
        x = pool(unit(unit(x, 64, 1), 192, 3))
        for place, widths in enumerate(INCEPTIONS):
            x = pool(x) if widths is None else inception(x, widths)
            heads += [head(x)] if place in HEADS else []
        x = nn.Dropout(0.4, deterministic=not train)(x.mean((1, 2)))
        return dense(1000)(x), *heads


class InvertedBottleneck(nn.Module):
    """Expansion, depthwise filter, a gate for each map, projection; a shortcut that may be left."""

    row: tuple[int, ...]  # of STAGES
    stride: int
    drop_rate: float
    conv: Layer
    norm: Layer
    dtype: Any
    train: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        (expansion, side, _, features, _), inputs = self.row, x.shape[-1]
        expanded, y = expansion * inputs, x
        if expansion > 1:
            y = nn.silu(self.norm()(self.conv(expanded, (1, 1))(y)))
        pads = [(side // 2, side // 2)] * 2
        strides = (self.stride, self.stride)
        filtered = self.conv(expanded, (side, side), strides, pads, feature_group_count=expanded)
        y = nn.silu(self.norm()(filtered(y)))
        gate = nn.silu(nn.Dense(max(1, inputs // 4), dtype=self.dtype)(y.mean((1, 2))))
        gate = nn.sigmoid(nn.Dense(expanded, dtype=self.dtype)(gate))
        y = self.norm()(self.conv(features, (1, 1))(y * gate[:, None, None, :]))
        if x.shape != y.shape:
            return y
        y = nn.Dropout(self.drop_rate, (1, 2, 3), deterministic=not self.train)(y)
        return x + y


class EfficientNetB0(nn.Module):
    """Images [B, 224, 224, 3] -> logits [B, 1000]."""

    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        conv, norm = layers(self.dtype, train, 0.99)
        x = nn.silu(norm()(conv(32, (3, 3), (2, 2), [(1, 1), (1, 1)])(x)))
        blocks = [(row, row[2] if i == 0 else 1) for row in STAGES for i in range(row[-1])]
        for place, (row, stride) in enumerate(blocks):
            drop_rate = 0.2 * place / len(blocks)
            x = InvertedBottleneck(row, stride, drop_rate, conv, norm, self.dtype, train)(x)
        x = nn.silu(norm()(conv(1280, (1, 1))(x)))
        x = nn.Dropout(0.2, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(1000, dtype=self.dtype)(x)
