"""ResNet v2: He, Zhang, Ren, Sun, "Identity mappings in deep residual networks", ECCV 2016.

    resnet50_v2 25,549,352      resnet101_v2 44,541,480      resnet152_v2 60,185,128
    resnet200_v2 64,666,152

Full pre-activation (fig. 4e): in each branch BatchNorm and ReLU come before the convolution, and
nothing follows the addition, so that the shortcut is an identity from one end of a stage to the
other. Where a block changes shape, the shortcut is a bare 1x1 of the activated input (appendix: the
first activation is shared by both paths); a last BatchNorm and ReLU precede the mean (appendix).
Widths and depths of He et al. 2015, table 1, and 200 layers of 3, 24, 36 and 3 blocks (table 5);
strides in the first 1x1 and initialisation N(0, 2 / fan-out) of the convolutions, as in the
authors' release; epsilon 1e-5, momentum 0.9, no dropout.

The first activation comes right after the 7x7, before the pool, and the first block begins with its
convolution (appendix; fig. 5 of the release). timm's port pools first and activates in the block:
the same parameters, another net wherever the batch's statistics or a negative scale enter.

Options off by default, each a deviation: `stem="pool_first"` and `stride_in="3x3"` (both are timm's
and set by an import), `attention`, `activation`, `norm`,
`dropout`, `pooling`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    CENTRING_NORMS,
    HE_NORMAL,
    Activation,
    Activations,
    Attention,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    activate_normalised,
    attention,
    conv,
    global_pool,
    max_pool,
    norm,
    require_size,
    residual_add,
    scan_blocks,
    sow_activation,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net
from cnn_jax.models.resnet import STAGES, StrideIn

# As the authors' release: its fan is kW kH nOutputPlane.
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class PreActivationBottleneck(nn.Module):
    """Norm, activation, 1x1; norm, activation, 3x3; norm, activation, 1x1; plus the shortcut."""

    features: int
    stride: int
    conv: Callable[..., nn.Module]  # without padding, with the net's dtype
    pre_activate: Callable[..., Activations]  # norm, then activation
    gate: Callable[[Maps], Maps]
    stride_in: StrideIn = "1x1"
    activated: bool = False  # its input is: the first block after an activated stem

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        first, second = (self.stride, 1) if self.stride_in == "1x1" else (1, self.stride)
        y = x if self.activated else self.pre_activate(x, name="norm1")
        if self.stride != 1 or x.shape[-1] != self.features:
            x = self.conv(self.features, 1, self.stride, name="shortcut")(y)
        y = self.conv(self.features // 4, 1, first, name="conv1")(y)
        y = self.pre_activate(y, name="norm2")
        y = self.conv(self.features // 4, 3, second, padding=1, name="conv2")(y)
        y = self.pre_activate(y, name="norm3")
        y = self.conv(self.features, 1, name="conv3")(y)
        return residual_add(x, self.gate(y))


class PreActivationNet(nn.Module):
    """What the nets of this paper share: their options, how a stage is stacked, and their end."""

    num_classes: int = 1000
    depth: int = 50
    stride_in: StrideIn = "1x1"
    attention: Attention = "none"
    norm: Norm = "batch"
    activation: Activation = "relu"
    pooling: Pooling = "avg"
    dropout: Rate = 0.0
    scan: bool = False
    dtype: Any = None

    def parts(self, train: bool) -> dict[str, Callable]:
        """`conv`, `pre_activate` and `gate`, as a block takes them."""

        def pre_activate(x: Activations, name: str) -> Activations:
            layer = norm(self.norm, train, name=name, dtype=self.dtype)
            return activate_normalised(self.activation, layer, x)

        bias = self.norm not in CENTRING_NORMS
        return {
            "conv": functools.partial(
                conv, padding=0, bias=bias, dtype=self.dtype, kernel_init=HE_FAN_OUT
            ),
            "pre_activate": pre_activate,
            "gate": functools.partial(
                attention, self.attention, train=train, norm=self.norm, dtype=self.dtype
            ),
        }

    def stage(
        self, block: Callable, level: int, count: int, features: int, activated: bool, x: Maps
    ) -> Maps:
        """`count` blocks; the first halves the map, but in stage 0, whose input may be active."""
        first, *others = (f"layer{level + 1}_{i}" for i in range(count))
        options = {"activated": activated and level == 0, "name": first}
        x = block(features, stride=2 if level else 1, **options)(x)
        same = functools.partial(block, features, stride=1)
        return scan_blocks(self, same, others, x, self.scan)

    def head(self, x: Activations, train: bool) -> Output:
        """Of what the last norm and activation put out."""
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=HE_NORMAL, dtype=self.dtype, name="fc")
        return Output(fc(x))


class ResNetV2(PreActivationNet):
    """Images [B, H, W, 3] of any size -> logits; four stages of pre-activation bottlenecks."""

    stem: Literal["activate_first", "pool_first"] = "activate_first"

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, f"ResNet-{self.depth} v2")
        parts = self.parts(train)
        pre_activate = parts["pre_activate"]
        block = functools.partial(PreActivationBottleneck, stride_in=self.stride_in, **parts)
        x = parts["conv"](64, 7, 2, padding=3, name="conv1")(images)  # 112x112x64
        activated = self.stem == "activate_first"
        x = pre_activate(x, name="conv1_norm") if activated else x
        x = sow_activation(self, "pool1", max_pool(x, 3, 2, padding=1))  # 56x56x64
        for level, count in enumerate(STAGES[self.depth][0]):
            # 56x56x256, 28x28x512, 14x14x1024, 7x7x2048
            x = self.stage(block, level, count, 256 * 2**level, activated, x)
        return self.head(pre_activate(x, name="norm"), train)


NETS = {
    f"resnet{depth}_v2": Net(ResNetV2, {"depth": depth}, not_options=("depth",))
    for depth in (50, 101, 152, 200)
}
