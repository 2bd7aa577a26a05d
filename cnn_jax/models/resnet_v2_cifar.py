"""The pre-activation nets for CIFAR: He, Zhang, Ren, Sun, "Identity mappings in deep residual
networks", ECCV 2016, tables 2 to 4.

    3x3, 16 -> layer1 n blocks of 32x32 -> layer2 n of 16x16 -> layer3 n of 8x8 -> mean -> fc

    resnet20_v2_cifar 269,722, which is ours, to compare with 20 layers of the first paper
    resnet110_v2_cifar 1,727,962    resnet164_v2_cifar 1,703,258    resnet1001_v2_cifar 10,327,706

The paper's 1.7, 1.7 and 10.2 M; the last is 10,178,490 without BatchNorm. 110 layers are 6n+2 of
two 3x3 (16, 32, 64 maps); 164 and 1001 are 9n+2 of bottlenecks (16, 32, 64 maps inside, 64, 128,
256 at their ends). The first activation follows the first convolution and serves both paths of the
first block; an extra one follows the last addition (appendix). Bottlenecks project where the shape
changes, from the activated input (appendix); two-layer blocks have option A of He et al. 2015
there, of the input as it is, on which the paper is silent. Strides in the first 1x1 and N(0, 2 /
fan-out), as in the authors' release (resnet-pre-act.lua); BatchNorm with epsilon 1e-5 and momentum
0.9; no dropout.

Options off by default, each a deviation: those of resnet_v2.py but for its stem.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import flax.linen as nn

from cnn_jax.models.layers import (
    Activations,
    ConvUnit,
    Images,
    Maps,
    Output,
    require_size,
    residual_add,
)
from cnn_jax.models.registry import Net
from cnn_jax.models.resnet import shortcut
from cnn_jax.models.resnet_v2 import PreActivationBottleneck, PreActivationNet


class PreActivationBasicBlock(nn.Module):
    """Norm, activation, 3x3; norm, activation, 3x3; plus the input, or shortcut A of it."""

    features: int
    stride: int
    conv: Callable[..., nn.Module]
    pre_activate: Callable[..., Activations]
    gate: Callable[[Maps], Maps]
    activated: bool = False  # its input is: the first block of the net

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        y = x if self.activated else self.pre_activate(x, name="norm1")
        y = self.conv(self.features, 3, self.stride, padding=1, name="conv1")(y)
        y = self.pre_activate(y, name="norm2")
        y = self.conv(self.features, 3, padding=1, name="conv2")(y)
        ends = shortcut("A", x, self.features, self.stride, ConvUnit(train=False))
        return residual_add(ends, self.gate(y))


class CifarResNetV2(PreActivationNet):
    """Images [B, H, W, C], 32 pixels in the paper -> logits; three stages of blocks."""

    num_classes: int = 10
    depth: int = 164
    bottleneck: bool = True

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, f"ResNet-{self.depth} v2 for CIFAR")
        parts = self.parts(train)
        block, width, layers = functools.partial(PreActivationBasicBlock, **parts), 16, 2
        if self.bottleneck:
            block = functools.partial(PreActivationBottleneck, stride_in=self.stride_in, **parts)
            width, layers = 64, 3
        count = (self.depth - 2) // (3 * layers)
        x = parts["conv"](16, 3, padding=1, name="conv1")(images)  # 32x32x16
        x = parts["pre_activate"](x, name="conv1_norm")
        for level in range(3):  # of bottlenecks 32x32x64, 16x16x128, 8x8x256
            x = self.stage(block, level, count, width * 2**level, True, x)
        return self.head(parts["pre_activate"](x, name="norm"), train)


def cifar(depth: int, bottleneck: bool) -> Net:
    """The registry's entry for a depth of tables 2 to 4."""
    preset = {"depth": depth, "bottleneck": bottleneck}
    not_options = ("depth", "bottleneck") + (() if bottleneck else ("stride_in",))
    return Net(CifarResNetV2, preset, (32, 32, 3), 10, not_options=not_options)


NETS = {
    "resnet20_v2_cifar": cifar(20, bottleneck=False),
    "resnet110_v2_cifar": cifar(110, bottleneck=False),
    "resnet164_v2_cifar": cifar(164, bottleneck=True),
    "resnet1001_v2_cifar": cifar(1001, bottleneck=True),
}
