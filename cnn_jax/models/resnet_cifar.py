"""The 6n+2-layer nets for CIFAR-10: He, Zhang, Ren, Sun, "Deep residual learning for image
recognition", 2015, sec. 4.2.

    3x3, 16 -> layer1 2n of 32x32x16 -> layer2 2n of 16x16x32 -> layer3 2n of 8x8x64 -> mean -> fc

    20: 269,722   32: 464,154   44: 658,586   56: 853,018   110: 1,727,962   1202: 19,421,274

Every shortcut is of option A, so that a residual net has exactly the parameters of its plain
counterpart. Blocks, BatchNorm (epsilon 1e-5, momentum 0.9) and initialisation (N(0, 2 / fan-in),
sec. 3.4) are those of resnet.py; "no dropout". Options off by default: shortcut B (20 layers:
272,474) or C, `zero_init`, `norm`, `activation`, `attention`, `pooling`, `dropout`,
`initialiser="glorot"` of the convolutions, and other blocks, each with as many 3x3:
- `width=2`: the channels of every block times 2, of the first convolution as they are, like the
  wide nets of Zagoruyko & Komodakis 2016.
- `block="one_layer"`: a shortcut around every 3x3 (sec. 3.2: "we have not observed advantages").
- `block="norm_last"`: the second BatchNorm follows the addition (He et al. 2016, "Identity mappings
  in deep residual networks", fig. 4b).
- `block="separable"`: every 3x3 of a block is one a map, normed and activated, and a 1x1 (Howard et
  al. 2017, "MobileNets", fig. 3).
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn

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
    activate_normalised,
    attention,
    global_pool,
    norm,
    require_size,
    residual_add,
    scan_blocks,
    sow_activation,
)
from cnn_jax.models.options import Count, Rate
from cnn_jax.models.registry import Net
from cnn_jax.models.resnet import BasicBlock, Shortcut, shortcut

INITIALISERS = {"he": HE_NORMAL, "glorot": nn.initializers.glorot_normal()}


class OneLayerBlocks(BasicBlock):
    """Two residual blocks of one 3x3; the second has the identity for its shortcut."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        y = self.unit(x, self.features, 3, self.stride, name="conv1")
        ends = shortcut(self.shortcut, x, self.features, self.stride, self.unit)
        x = residual_add(ends, y, self.activation)
        y = self.unit(x, self.features, 3, name="conv2", zero_init=self.zero_init)
        return residual_add(None if self.shortcut == "none" else x, self.gate(y), self.activation)


class NormLastBlock(BasicBlock):
    """Two 3x3 and a shortcut; BatchNorm and activation of the sum."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        y = self.unit.replace(activation=self.activation)(
            x, self.features, 3, self.stride, name="conv1"
        )
        bare = self.unit.replace(norm="none", bias=False)
        y = bare(y, self.features, 3, name="conv2", zero_init=self.zero_init)
        ends = shortcut(self.shortcut, x, self.features, self.stride, self.unit)
        y = residual_add(ends, self.gate(y))
        kind, train, dtype = self.unit.norm, self.unit.train, self.unit.dtype
        sum_norm = norm(kind, train, name="sum_norm", dtype=dtype)
        return activate_normalised(self.activation, sum_norm, y)


class SeparableBlock(BasicBlock):
    """Two depthwise 3x3, each with a 1x1 behind it, and a shortcut."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit, maps = self.unit.replace(activation=self.activation), x.shape[-1]
        y = unit(x, maps, 3, self.stride, groups=maps, name="conv1_depthwise")
        y = unit(y, self.features, 1, name="conv1")
        y = unit(y, self.features, 3, groups=self.features, name="conv2_depthwise")
        y = self.unit(y, self.features, 1, name="conv2", zero_init=self.zero_init)
        ends = shortcut(self.shortcut, x, self.features, self.stride, self.unit)
        return residual_add(ends, self.gate(y), self.activation)


BLOCKS = {
    "basic": BasicBlock,
    "one_layer": OneLayerBlocks,
    "norm_last": NormLastBlock,
    "separable": SeparableBlock,
}


class CifarResNet(nn.Module):
    """Images [B, H, W, C], 32 pixels in the paper -> logits; three stages of basic blocks."""

    num_classes: int = 10
    depth: int = 20
    width: Count = 1
    block: Literal["basic", "one_layer", "norm_last", "separable"] = "basic"
    shortcut: Shortcut = "A"
    attention: Attention = "none"
    norm: Norm = "batch"
    activation: Activation = "relu"
    zero_init: bool = False
    initialiser: Literal["he", "glorot"] = "he"
    pooling: Pooling = "avg"
    dropout: Rate = 0.0
    scan: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, f"ResNet-{self.depth} for CIFAR")
        init = INITIALISERS[self.initialiser]
        unit = ConvUnit(train, norm=self.norm, kernel_init=init, dtype=self.dtype)
        stem = unit.replace(activation=self.activation)
        block = functools.partial(
            BLOCKS[self.block],
            unit=unit,
            gate=functools.partial(
                attention, self.attention, train=train, norm=self.norm, dtype=self.dtype
            ),
            shortcut=self.shortcut,
            activation=self.activation,
            zero_init=self.zero_init,
        )
        x = stem(images, 16, 3, name="conv1")  # 32x32x16
        for level in range(3):  # 32x32x16, 16x16x32, 8x8x64
            first, *others = (f"layer{level + 1}_{i}" for i in range((self.depth - 2) // 6))
            channels = 16 * self.width * 2**level
            x = block(channels, stride=2 if level else 1, name=first)(x)
            same = functools.partial(block, channels, stride=1)
            x = scan_blocks(self, same, others, x, self.scan)
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=HE_NORMAL, dtype=self.dtype, name="fc")
        return Output(fc(x))


def cifar(depth: int, **preset: Any) -> Net:
    """The registry's entry for 6n+2 layers."""
    return Net(CifarResNet, {"depth": depth, **preset}, (32, 32, 3), 10, not_options=("depth",))


NETS = {
    **{f"resnet{depth}_cifar": cifar(depth) for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{depth}_cifar": cifar(depth, shortcut="none") for depth in (20, 32, 44, 56, 110)},
}
