"""ResNet: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2015 (CVPR 2016).

    7x7/2 -> max 3x3/2 -> layer1 56x56 -> layer2 28x28 -> layer3 14x14 -> layer4 7x7 -> mean -> fc

Parameters, for 1000 classes; A, B, C are the shortcuts of sec. 4.1:

    plain18 = resnet18 with A  11,515,688    resnet18 (B)  11,689,512
    plain34 = resnet34 with A  21,623,848    resnet34 (B)  21,797,672
    resnet50 (B)  25,557,032    resnet101 (B)  44,549,160    resnet152 (B)  60,192,808

- Layers and widths: table 1, whose conv2_x ... conv5_x are named layer1 ... layer4, as weight files
  do. Bottlenecks stride in their first 1x1 (fig. 5 and the authors' release): 3.86 G multiply-adds
  in 50 layers. `resnet*_v1_5` stride in the 3x3, as torchvision's do: same count, 4.09 G.
- Shortcuts (sec. 3.3, 4.1): `A` subsamples and pads new channels with zeros, no parameters; `B`
  projects where the shape changes, by a strided 1x1 with BatchNorm; `C` projects everywhere; `none`
  is the plain net. The names stand for B, the paper's choice from 50 layers on and every published
  weight file's; its table 2 has 18 and 34 layers with A, its table 3 compares A, B and C.
- pool1 has no padding and takes in the last row by Caffe's ceil mode (the release's
  ResNet-101-deploy.prototxt; torchvision's ports pad it by 1 all around: the same size, windows one
  pixel away). `pool1="padded"` is the ports', set by an import and by the names that are theirs.
- BatchNorm after each convolution and before activation (sec. 3.4), no biases. The paper says
  nothing of its constants: epsilon 1e-5 is the release's, momentum 0.9 torchvision's. The release's
  statistics are averages over a large batch after training, "not moving average" (README.md of the
  authors' deep-residual-networks). No dropout (sec. 3.4).
- Initialisation: sec. 3.4 refers to He et al. 2015: N(0, 2 / fan-in), biases zero.

Options off by default, each a deviation: `stride_in="3x3"` (v1.5), `pool1="padded"`, `zero_init`
(the branch's last scale starts at zero, so that every block starts as the identity: Goyal et al.
2017, sec. 5.1), `groups` and `bottleneck_width` (resnext.py, wide_resnet.py), `attention`
(layers/attention.py), `depthwise` 3x3, `activation`, `norm`, `dropout` before fc, `stem="3x3"`
(stride 1, no pooling, for images of 32 pixels), `pooling`, `biases="all"` (those that BatchNorm
cancels, too), `shortcut_norm=False` (a projection is a convolution with a bias),
`initialiser="glorot"`. These last three make `resnet18_d2l`, 11,178,378, a textbook's net for 96
pixels, one channel, 10 classes (Zhang, Lipton, Li, Smola, "Dive into deep learning", "Residual
networks"). `scan=True` is no deviation: a stage's blocks but the first are one compiled loop
(layers/scan_blocks.py). Four names are options of resnet50, stride and all:

    resnet50_gelu  25,557,032      resnet50_depthwise  14,273,768
    resnet50_cbam  28,089,624      resnet50_modified (all three)  16,806,360

The 3.864 G that Woo et al. 2018 print for ResNet-50 with CBAM is the net that strides in the 1x1,
as `resnet50_cbam` does; their released weights stride in the 3x3, 4.096 G.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.errors import UserError
from cnn_jax.models.layers import (
    HE_NORMAL,
    Activation,
    Attention,
    ConvUnit,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    attention,
    global_pool,
    max_pool,
    require_size,
    residual_add,
    scan_blocks,
    sow_activation,
)
from cnn_jax.models.options import Count, Rate
from cnn_jax.models.registry import Net

Shortcut = Literal["none", "A", "B", "C"]
StrideIn = Literal["1x1", "3x3"]
Pool1 = Literal["unpadded", "padded"]

# Table 1: depth -> blocks in layer1 ... layer4, and whether they are bottlenecks. 200 layers are of
# He et al. 2016, and registered with pre-activation only.
STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
    200: ((3, 24, 36, 3), True),
}


def shortcut(
    kind: Shortcut, x: Maps, features: int, stride: int, unit: ConvUnit, normed: bool = True
) -> Maps | None:
    """What is added to a block's branch: x, or x brought to the branch's shape; or nothing."""
    if kind == "none":
        return None
    same = stride == 1 and x.shape[-1] == features
    if kind == "C" or (kind == "B" and not same):
        project = unit if normed else unit.replace(norm="none")
        return project(x, features, 1, stride, name="shortcut")
    if kind == "A" and not same:
        x = x[:, ::stride, ::stride, :]
        return jnp.pad(x, [(0, 0)] * 3 + [(0, features - x.shape[-1])])
    return x


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them (fig. 5, left)."""

    features: int
    stride: int
    unit: ConvUnit  # without activation
    gate: Callable[[Maps], Maps]
    shortcut: Shortcut = "B"
    shortcut_norm: bool = True
    activation: Activation = "relu"
    zero_init: bool = False

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit = self.unit.replace(activation=self.activation)
        y = unit(x, self.features, 3, self.stride, name="conv1")
        y = self.unit(y, self.features, 3, name="conv2", zero_init=self.zero_init)
        y = self.gate(y)
        ends = shortcut(self.shortcut, x, self.features, self.stride, self.unit, self.shortcut_norm)
        return residual_add(ends, y, self.activation)


class Bottleneck(nn.Module):
    """1x1 to `width` channels, 3x3, 1x1 to `features`, and a shortcut (fig. 5, right)."""

    features: int
    stride: int
    unit: ConvUnit
    gate: Callable[[Maps], Maps]
    width: int
    groups: int = 1
    stride_in: StrideIn = "1x1"
    shortcut: Shortcut = "B"
    shortcut_norm: bool = True
    activation: Activation = "relu"
    zero_init: bool = False

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        first, second = (self.stride, 1) if self.stride_in == "1x1" else (1, self.stride)
        unit = self.unit.replace(activation=self.activation)
        y = unit(x, self.width, 1, first, name="conv1")
        y = unit(y, self.width, 3, second, name="conv2", groups=self.groups)
        y = self.unit(y, self.features, 1, name="conv3", zero_init=self.zero_init)
        y = self.gate(y)
        ends = shortcut(self.shortcut, x, self.features, self.stride, self.unit, self.shortcut_norm)
        return residual_add(ends, y, self.activation)


class ResNet(nn.Module):
    """Images [B, H, W, 3] of any size -> logits; four stages of residual blocks."""

    num_classes: int = 1000
    depth: int = 50
    shortcut: Shortcut = "B"
    shortcut_norm: bool = True
    biases: Literal["effective", "all"] = "effective"  # or those that a norm cancels, too
    initialiser: Literal["he", "glorot"] = "he"
    stride_in: StrideIn = "1x1"
    bottleneck_width: Count = 64  # channels of the 3x3 in layer1; twice as many in each next stage
    groups: Count = 1
    depthwise: bool = False
    attention: Attention = "none"
    norm: Norm = "batch"
    activation: Activation = "relu"
    zero_init: bool = False
    stem: Literal["7x7", "3x3"] = "7x7"
    pool1: Pool1 = "unpadded"
    pooling: Pooling = "avg"
    dropout: Rate = 0.0
    scan: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        unpadded = self.stem == "7x7" and self.pool1 == "unpadded"
        require_size(images, 3 if unpadded else 1, f"ResNet-{self.depth}")
        if self.bottleneck_width % self.groups:
            raise UserError(
                f"model.groups={self.groups} does not divide model.bottleneck_width="
                f"{self.bottleneck_width}"
            )
        init = HE_NORMAL if self.initialiser == "he" else nn.initializers.glorot_uniform()
        bias = True if self.biases == "all" else None
        unit = ConvUnit(train, norm=self.norm, bias=bias, kernel_init=init, dtype=self.dtype)
        stem = unit.replace(activation=self.activation)
        shared = {
            "unit": unit,
            "gate": functools.partial(
                attention, self.attention, train=train, norm=self.norm, dtype=self.dtype
            ),
            "shortcut": self.shortcut,
            "shortcut_norm": self.shortcut_norm,
            "activation": self.activation,
            "zero_init": self.zero_init,
        }
        if self.stem == "7x7":
            x = stem(images, 64, 7, stride=2, name="conv1")  # 112x112x64
            x = max_pool(x, 3, 2, padding=0 if unpadded else 1, ceil=unpadded)
            x = sow_activation(self, "pool1", x)  # 56x56x64
        else:
            x = stem(images, 64, 3, name="conv1")
        counts, bottlenecks = STAGES[self.depth]
        for level, count in enumerate(counts):  # 56x56x256, 28x28x512, 14x14x1024, 7x7x2048
            if bottlenecks:
                width = self.bottleneck_width * 2**level
                block = functools.partial(
                    Bottleneck,
                    256 * 2**level,
                    width=width,
                    groups=width if self.depthwise else self.groups,
                    stride_in=self.stride_in,
                    **shared,
                )
            else:
                block = functools.partial(BasicBlock, 64 * 2**level, **shared)
            first, *others = (f"layer{level + 1}_{i}" for i in range(count))
            x = block(stride=2 if level else 1, name=first)(x)
            x = scan_blocks(self, functools.partial(block, stride=1), others, x, self.scan)
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name="fc")
        return Output(fc(x))


def resnet(depth: int, **preset: Any) -> Net:
    """The registry's entry for a depth of table 1; a basic block has no bottleneck's options."""
    bottleneck_only = ("stride_in", "bottleneck_width", "groups", "depthwise")
    not_options = ("depth",) if STAGES[depth][1] else ("depth", *bottleneck_only)
    return Net(ResNet, {"depth": depth, **preset}, not_options=not_options)


PORTS = {"stride_in": "3x3", "pool1": "padded"}
D2L = {"pool1": "padded", "biases": "all", "shortcut_norm": False, "initialiser": "glorot"}
MODIFIED = {"activation": "gelu", "depthwise": True, "attention": "cbam"}
NETS = {
    "plain18": resnet(18, shortcut="none"),
    "plain34": resnet(34, shortcut="none"),
    "resnet18": resnet(18),
    "resnet18_d2l": dataclasses.replace(resnet(18, **D2L), input_shape=(96, 96, 1), num_classes=10),
    "resnet34": resnet(34),
    "resnet50": resnet(50),
    "resnet101": resnet(101),
    "resnet152": resnet(152),
    "resnet50_v1_5": resnet(50, **PORTS),
    "resnet101_v1_5": resnet(101, **PORTS),
    "resnet152_v1_5": resnet(152, **PORTS),
    "resnet50_gelu": resnet(50, activation="gelu"),
    "resnet50_depthwise": resnet(50, depthwise=True),
    "resnet50_cbam": resnet(50, attention="cbam"),
    "resnet50_modified": resnet(50, **MODIFIED),
}
