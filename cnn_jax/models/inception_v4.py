"""Inception v4: Szegedy, Ioffe, Vanhoucke, Alemi, "Inception-v4, Inception-ResNet and the impact of
residual connections on learning", AAAI 2017, fig. 3 to 9 and table 1.

    input 299 -> stem 384@35 -> 4 x Inception-A 384@35 -> Reduction-A 1024@17
    -> 7 x Inception-B 1024@17 -> Reduction-B 1536@8 -> 3 x Inception-C 1536@8 -> mean -> 1000

42,679,816 parameters. Constants: dropout 0.2 (fig. 9, "keep 0.8"); Reduction-A has k 192, l 224,
m 256, n 384 (table 1). Paper silent, authors' released code: BatchNorm with epsilon 1e-3 after
every convolution, truncated He's initialisation, means inside the blocks that leave the padding
out; its momentum of 0.9997 fits runs of half a million steps, here it is 0.9. The order of 1x7 and
7x1 in the double branches is the released code's too.

Options off by default: `norm="none"` (biases come back), `activation`, `dropout`, `head="max"`.
"""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    avg_pool,
    global_pool,
    max_pool,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net

HE_TRUNCATED = nn.initializers.he_normal()


def concatenate(*maps: Maps) -> Maps:
    return jnp.concatenate(maps, -1)


def local_mean(x: Maps) -> Maps:
    """The 3x3 mean of fig. 4 to 6, over the pixels that are there."""
    return avg_pool(x, 3, 1, padding=1, count_padding=False)


class Stem(nn.Module):
    """Fig. 3: three times a pool or a convolution beside another."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = functools.partial(self.unit, padding="VALID")
        x = unit(x, 32, 3, 2, name="conv_1a")  # 149x149x32
        x = unit(x, 32, 3, name="conv_2a")  # 147x147x32
        x = self.unit(x, 64, 3, name="conv_2b")  # 147x147x64
        x = concatenate(max_pool(x, 3, 2), unit(x, 96, 3, 2, name="mixed_3a_3x3"))
        x = sow_activation(self, "mixed_3a", x)  # 73x73x160
        three = unit(x, 64, 1, name="mixed_4a_3x3_reduce")
        three = unit(three, 96, 3, name="mixed_4a_3x3")
        seven = unit(x, 64, 1, name="mixed_4a_7x7_reduce")
        seven = self.unit(seven, 64, (1, 7), name="mixed_4a_7x7_1x7")
        seven = self.unit(seven, 64, (7, 1), name="mixed_4a_7x7_7x1")
        seven = unit(seven, 96, 3, name="mixed_4a_7x7_3x3")
        x = sow_activation(self, "mixed_4a", concatenate(three, seven))  # 71x71x192
        return concatenate(unit(x, 192, 3, 2, name="mixed_5a_3x3"), max_pool(x, 3, 2))


class InceptionA(nn.Module):
    """Fig. 4."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        one = unit(x, 96, 1, name="1x1")
        three = unit(x, 64, 1, name="3x3_reduce")
        three = unit(three, 96, 3, name="3x3")
        twice = unit(x, 64, 1, name="double_3x3_reduce")
        twice = unit(twice, 96, 3, name="double_3x3_1")
        twice = unit(twice, 96, 3, name="double_3x3_2")
        pooled = unit(local_mean(x), 96, 1, name="pool_proj")
        return concatenate(one, three, twice, pooled)


class ReductionA(nn.Module):
    """Fig. 7."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        three = unit(x, 384, 3, 2, padding="VALID", name="3x3")
        twice = unit(x, 192, 1, name="double_3x3_reduce")
        twice = unit(twice, 224, 3, name="double_3x3_1")
        twice = unit(twice, 256, 3, 2, padding="VALID", name="double_3x3_2")
        return concatenate(three, twice, max_pool(x, 3, 2))


class InceptionB(nn.Module):
    """Fig. 5."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        one = unit(x, 384, 1, name="1x1")
        seven = unit(x, 192, 1, name="7x7_reduce")
        seven = unit(seven, 224, (1, 7), name="7x7_1x7")
        seven = unit(seven, 256, (7, 1), name="7x7_7x1")
        twice = unit(x, 192, 1, name="double_7x7_reduce")
        twice = unit(twice, 192, (7, 1), name="double_7x7_7x1_1")
        twice = unit(twice, 224, (1, 7), name="double_7x7_1x7_1")
        twice = unit(twice, 224, (7, 1), name="double_7x7_7x1_2")
        twice = unit(twice, 256, (1, 7), name="double_7x7_1x7_2")
        pooled = unit(local_mean(x), 128, 1, name="pool_proj")
        return concatenate(one, seven, twice, pooled)


class ReductionB(nn.Module):
    """Fig. 8."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        three = unit(x, 192, 1, name="3x3_reduce")
        three = unit(three, 192, 3, 2, padding="VALID", name="3x3")
        seven = unit(x, 256, 1, name="7x7_reduce")
        seven = unit(seven, 256, (1, 7), name="7x7_1x7")
        seven = unit(seven, 320, (7, 1), name="7x7_7x1")
        seven = unit(seven, 320, 3, 2, padding="VALID", name="7x7_3x3")
        return concatenate(three, seven, max_pool(x, 3, 2))


class InceptionC(nn.Module):
    """Fig. 6."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        one = unit(x, 256, 1, name="1x1")
        three = unit(x, 384, 1, name="3x3_reduce")
        three = concatenate(
            unit(three, 256, (1, 3), name="3x3_1x3"),
            unit(three, 256, (3, 1), name="3x3_3x1"),
        )
        twice = unit(x, 384, 1, name="double_3x3_reduce")
        twice = unit(twice, 448, (3, 1), name="double_3x3_3x1_1")
        twice = unit(twice, 512, (1, 3), name="double_3x3_1x3_1")
        twice = concatenate(
            unit(twice, 256, (1, 3), name="double_3x3_1x3_2"),
            unit(twice, 256, (3, 1), name="double_3x3_3x1_2"),
        )
        pooled = unit(local_mean(x), 256, 1, name="pool_proj")
        return concatenate(one, three, twice, pooled)


class InceptionV4(nn.Module):
    """Fig. 9; images [B, 299, 299, 3], 75 pixels at least."""

    num_classes: int = 1000
    norm: Norm = "batch"
    activation: Activation = "relu"
    dropout: Rate = 0.2
    head: Pooling = "avg"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 75, "inception_v4")
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            epsilon=1e-3,
            kernel_init=HE_TRUNCATED,
            dtype=self.dtype,
        )
        x = Stem(unit=unit, name="stem")(images)  # 35x35x384
        for i in range(1, 5):
            x = InceptionA(unit=unit, name=f"inception_a{i}")(x)  # 35x35x384
        x = ReductionA(unit=unit, name="reduction_a")(x)  # 17x17x1024
        for i in range(1, 8):
            x = InceptionB(unit=unit, name=f"inception_b{i}")(x)  # 17x17x1024
        x = ReductionB(unit=unit, name="reduction_b")(x)  # 8x8x1536
        for i in range(1, 4):
            x = InceptionC(unit=unit, name=f"inception_c{i}")(x)  # 8x8x1536
        x = sow_activation(self, "global_pool", global_pool(self.head, x))  # 1536
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        linear = nn.Dense(
            self.num_classes, kernel_init=HE_TRUNCATED, dtype=self.dtype, name="linear"
        )
        return Output(linear(x))


NETS = {"inception_v4": Net(InceptionV4, {}, (299, 299, 3))}
