"""Inception v3: Szegedy et al., "Rethinking the Inception architecture for computer vision",
CVPR 2016, table 1 and sec. 6, in the form that its authors released (the paper's table leaves the
widths of the blocks out).

    input 299 -> conv_1a 32@149 -> conv_2a 32@147 -> conv_2b 64@147 -> pool 73 -> conv_3b 80@73
    -> conv_4a 192@71 -> pool 35 -> mixed_5b 256, 5c 288, 5d 288 -> mixed_6a 768@17 -> 6b..6e 768
    -> mixed_7a 1280@8 -> 7b 2048 -> 7c 2048 -> mean -> 1000

27,143,152 parameters with the auxiliary head on mixed_6e, 23,817,352 without (`auxiliary=False`).

Constants: BatchNorm after every convolution, the head's included (sec. 4 and table 3), and no
biases before it. Paper silent, authors' released code: BatchNorm without a scale, epsilon 1e-3,
dropout 0.2, truncated He's initialisation, and 0.01 and 0.001 for the head's last two layers; its
momentum of 0.9997 fits runs of half a million steps, here it is 0.9. Pools inside the blocks are
means over the pixels that there are, as TensorFlow's SAME.

torchvision's port differs, and an import sets both options: `norm_scale=True` (27,161,264; without
the head 23,834,568) and `count_padding=True`. Its weights
expect inputs of mean 0.5 and deviation 0.5 in each channel.

Options off by default, none of them the paper's net:
- `auxiliary=False`; `auxiliary_norm=False`: no BatchNorm in the head's fully connected layer (its
  5x5 convolution), which undoes the last step of table 3.
- `factorised_stem=False`: one 7x7 every 2 for the first three 3x3 (table 3, "factorized 7x7").
- `norm="none"` (biases come back), `activation`, `dropout`, `head="max"`.
- Deviation: where the head's map is under 17x17 (inputs under 299 px), its 5x5 pool takes what is
  there, and zeros fill the map up to the 5x5 of its last convolution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    Logits,
    Maps,
    Norm,
    Output,
    Pooling,
    avg_pool,
    compute_auxiliary,
    global_pool,
    max_pool,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net

HE_TRUNCATED = nn.initializers.he_normal()
TRUNCATED = nn.initializers.truncated_normal


Mean = Callable[[Maps], Maps]  # 3x3, every pixel


def concatenate(*maps: Maps) -> Maps:
    return jnp.concatenate(maps, -1)


class Mixed5(nn.Module):
    """Fig. 5, on the 35x35 maps, with the 5x5 of the first branch left whole."""

    projection: int
    unit: ConvUnit
    mean: Mean

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        one = unit(x, 64, 1, name="1x1")
        five = unit(x, 48, 1, name="5x5_reduce")
        five = unit(five, 64, 5, name="5x5")
        twice = unit(x, 64, 1, name="double_3x3_reduce")
        twice = unit(twice, 96, 3, name="double_3x3_1")
        twice = unit(twice, 96, 3, name="double_3x3_2")
        pooled = unit(self.mean(x), self.projection, 1, name="pool_proj")
        return concatenate(one, five, twice, pooled)


class Mixed6a(nn.Module):
    """Fig. 10: 35x35 to 17x17, by strides beside a pool."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        three = unit(x, 384, 3, 2, padding="VALID", name="3x3")
        twice = unit(x, 64, 1, name="double_3x3_reduce")
        twice = unit(twice, 96, 3, name="double_3x3_1")
        twice = unit(twice, 96, 3, 2, padding="VALID", name="double_3x3_2")
        return concatenate(three, twice, max_pool(x, 3, 2))


class Mixed6(nn.Module):
    """Fig. 6, n = 7: 7x7 convolutions as pairs of 1x7 and 7x1, on the 17x17 maps."""

    width: int
    unit: ConvUnit
    mean: Mean

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit, width = self.unit, self.width
        one = unit(x, 192, 1, name="1x1")
        seven = unit(x, width, 1, name="7x7_reduce")
        seven = unit(seven, width, (1, 7), name="7x7_1x7")
        seven = unit(seven, 192, (7, 1), name="7x7_7x1")
        twice = unit(x, width, 1, name="double_7x7_reduce")
        twice = unit(twice, width, (7, 1), name="double_7x7_7x1_1")
        twice = unit(twice, width, (1, 7), name="double_7x7_1x7_1")
        twice = unit(twice, width, (7, 1), name="double_7x7_7x1_2")
        twice = unit(twice, 192, (1, 7), name="double_7x7_1x7_2")
        pooled = unit(self.mean(x), 192, 1, name="pool_proj")
        return concatenate(one, seven, twice, pooled)


class Mixed7a(nn.Module):
    """17x17 to 8x8."""

    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        three = unit(x, 192, 1, name="3x3_reduce")
        three = unit(three, 320, 3, 2, padding="VALID", name="3x3")
        seven = unit(x, 192, 1, name="7x7_reduce")
        seven = unit(seven, 192, (1, 7), name="7x7_1x7")
        seven = unit(seven, 192, (7, 1), name="7x7_7x1")
        seven = unit(seven, 192, 3, 2, padding="VALID", name="7x7_3x3")
        return concatenate(three, seven, max_pool(x, 3, 2))


class Mixed7(nn.Module):
    """Fig. 7: the widest blocks, on the 8x8 maps; 1x3 and 3x1 side by side."""

    unit: ConvUnit
    mean: Mean

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit
        one = unit(x, 320, 1, name="1x1")
        three = unit(x, 384, 1, name="3x3_reduce")
        three = concatenate(
            unit(three, 384, (1, 3), name="3x3_1x3"),
            unit(three, 384, (3, 1), name="3x3_3x1"),
        )
        twice = unit(x, 448, 1, name="double_3x3_reduce")
        twice = unit(twice, 384, 3, name="double_3x3")
        twice = concatenate(
            unit(twice, 384, (1, 3), name="double_3x3_1x3"),
            unit(twice, 384, (3, 1), name="double_3x3_3x1"),
        )
        pooled = unit(self.mean(x), 192, 1, name="pool_proj")
        return concatenate(one, three, twice, pooled)


class AuxiliaryHead(nn.Module):
    """Fig. 8, on [B, 17, 17, 768] -> logits [B, K]."""

    num_classes: int
    norm: Norm
    unit: ConvUnit
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Logits:
        x = avg_pool(x, min(5, *x.shape[1:3]), 3)  # 5x5x768
        x = self.unit(x, 128, 1, name="conv_1x1")  # 5x5x128
        short = [max(0, 5 - side) for side in x.shape[1:3]]
        pads = [(s // 2, s - s // 2) for s in short]
        fully_connected = self.unit.replace(norm=self.norm, kernel_init=TRUNCATED(0.01))
        x = fully_connected(x, 768, 5, padding=pads, name="conv_5x5")  # 1x1x768
        x = global_pool("avg", x)
        return nn.Dense(
            self.num_classes, kernel_init=TRUNCATED(0.001), dtype=self.dtype, name="linear"
        )(x)


class InceptionV3(nn.Module):
    """Images [B, 299, 299, 3], 75 pixels at least."""

    num_classes: int = 1000
    auxiliary: bool = True
    auxiliary_norm: bool = True
    factorised_stem: bool = True
    norm: Norm = "batch"
    norm_scale: bool = False
    count_padding: bool = False
    activation: Activation = "relu"
    dropout: Rate = 0.2
    head: Pooling = "avg"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 75, "inception_v3")
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            epsilon=1e-3,
            scale=self.norm_scale,
            kernel_init=HE_TRUNCATED,
            dtype=self.dtype,
        )
        mean = functools.partial(
            avg_pool, window=3, stride=1, padding=1, count_padding=self.count_padding
        )
        mixed5 = functools.partial(Mixed5, unit=unit, mean=mean)
        mixed6 = functools.partial(Mixed6, unit=unit, mean=mean)
        mixed7 = functools.partial(Mixed7, unit=unit, mean=mean)
        x = images
        if self.factorised_stem:
            x = unit(x, 32, 3, stride=2, padding="VALID", name="conv_1a")  # 149x149x32
            x = unit(x, 32, 3, padding="VALID", name="conv_2a")  # 147x147x32
            x = unit(x, 64, 3, name="conv_2b")  # 147x147x64
        else:
            x = unit(x, 64, 7, 2, padding="VALID", name="conv_1a")  # 147x147x64
        x = sow_activation(self, "pool1", max_pool(x, 3, 2))  # 73x73x64
        x = unit(x, 80, 1, name="conv_3b")  # 73x73x80
        x = unit(x, 192, 3, padding="VALID", name="conv_4a")  # 71x71x192
        x = sow_activation(self, "pool2", max_pool(x, 3, 2))  # 35x35x192
        x = mixed5(32, name="mixed_5b")(x)  # 35x35x256
        x = mixed5(64, name="mixed_5c")(x)  # 35x35x288
        x = mixed5(64, name="mixed_5d")(x)  # 35x35x288
        x = Mixed6a(unit=unit, name="mixed_6a")(x)  # 17x17x768
        x = mixed6(128, name="mixed_6b")(x)  # 17x17x768
        x = mixed6(160, name="mixed_6c")(x)
        x = mixed6(160, name="mixed_6d")(x)
        x = mixed6(192, name="mixed_6e")(x)
        heads = ()
        if self.auxiliary and compute_auxiliary(self, train):
            kind = self.norm if self.auxiliary_norm else "none"
            head = AuxiliaryHead(
                num_classes=self.num_classes,
                norm=kind,
                unit=unit,
                dtype=self.dtype,
                name="auxiliary_6e",
            )
            heads = (head(x),)
        x = Mixed7a(unit=unit, name="mixed_7a")(x)  # 8x8x1280
        x = mixed7(name="mixed_7b")(x)  # 8x8x2048
        x = mixed7(name="mixed_7c")(x)  # 8x8x2048
        x = sow_activation(self, "global_pool", global_pool(self.head, x))  # 2048
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        linear = nn.Dense(
            self.num_classes, kernel_init=HE_TRUNCATED, dtype=self.dtype, name="linear"
        )
        return Output(linear(x), heads)


NETS = {"inception_v3": Net(InceptionV3, {}, (299, 299, 3))}
