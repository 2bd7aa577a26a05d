"""MobileNet: Howard, Zhu, Chen, Kalenichenko, Wang, Weyand, Andreetto, Adam, "MobileNets: Efficient
convolutional neural networks for mobile vision applications", 2017.

    width 1: 4,231,976      0.75: 2,585,560      0.5: 1,331,592      0.25: 470,072

Table 1: a 3x3 convolution with stride 2, then 13 depthwise separable convolutions (sec. 3.1), each
a depthwise 3x3 and a pointwise 1x1, both with BatchNorm and ReLU (fig. 3, right); mean, fc. `width`
is the paper's alpha (sec. 3.3); its resolution multiplier is the size of the images. Table 1 prints
stride 2 for the last depthwise layer, but keeps 7x7 maps on both sides: it is 1.

The paper states neither initialisation nor dropout nor BatchNorm's constants. Here: N(0, 2 /
fan-in), dropout 0.001 as the authors' release, epsilon 1e-5 and momentum 0.9 as published weights.

Options off by default, each a deviation: `depthwise=False` has full 3x3 convolutions in place of
the separable ones (the paper's table 4: 29.3 M parameters, 4.87 G multiply-adds), `activation`,
`norm`, `pooling`, any `width` and `dropout`.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax.models.layers import (
    HE_NORMAL,
    Activation,
    ConvUnit,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    global_pool,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate, Scale
from cnn_jax.models.registry import Net

# Table 1: output channels and stride of each separable convolution.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip


class SeparableConv(nn.Module):
    """A depthwise 3x3 filters each map, a pointwise 1x1 combines them (fig. 2b, 2c)."""

    features: int
    stride: int
    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        channels = x.shape[-1]
        x = self.unit(x, channels, 3, self.stride, groups=channels, name="depthwise")
        return self.unit(x, self.features, 1, name="pointwise")


class MobileNetV1(nn.Module):
    """Images [B, H, W, 3] of any size -> logits."""

    num_classes: int = 1000
    width: Scale = 1.0
    depthwise: bool = True
    norm: Norm = "batch"
    activation: Activation = "relu"
    pooling: Pooling = "avg"
    dropout: Rate = 0.001
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, "MobileNet v1")
        unit = ConvUnit(train, norm=self.norm, activation=self.activation, dtype=self.dtype)
        x = unit(images, max(8, int(32 * self.width)), 3, stride=2, name="conv1")  # 112x112x32
        for i, (features, stride) in enumerate(BLOCKS, 1):
            features = max(8, int(features * self.width))
            if self.depthwise:
                x = SeparableConv(features, stride=stride, unit=unit, name=f"block{i}")(x)
            else:
                x = unit(x, features, 3, stride, name=f"block{i}")
            # 112x112x64, 56x56x128, 28x28x256, 14x14x512, 7x7x1024
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=HE_NORMAL, dtype=self.dtype, name="fc")
        return Output(fc(x))


NETS = {
    "mobilenet_v1": Net(MobileNetV1),
    "mobilenet_v1_075": Net(MobileNetV1, {"width": 0.75}),
    "mobilenet_v1_050": Net(MobileNetV1, {"width": 0.5}),
    "mobilenet_v1_025": Net(MobileNetV1, {"width": 0.25}),
}
