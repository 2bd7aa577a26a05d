"""MobileNet v2: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted residuals and linear
bottlenecks", CVPR 2018.

`mobilenet_v2`, 3,504,872 parameters: table 2. A 3x3 convolution with stride 2, 17 inverted residual
bottlenecks, a 1x1 to 1280, mean, fc. A bottleneck (table 1, fig. 4d) expands t times by a 1x1,
filters by a depthwise 3x3, both with BatchNorm and ReLU6, and projects by a linear 1x1; a shortcut
joins the thin ends where the shapes agree. The first bottleneck (t = 1) has no expansion. `width`
is the multiplier of sec. 4: channels rounded to multiples of 8, the last 1280 never reduced.

The paper states neither initialisation nor dropout nor BatchNorm's constants. Here: N(0, 2 /
fan-in), fc N(0, 0.01), dropout 0.2 as the authors' release, epsilon 1e-5 and momentum 0.9 as
published weights.

Options off by default, each a deviation of the paper's fig. 6: `linear_bottleneck=False` puts the
non-linearity behind the projection too, `shortcut=False` leaves the shortcuts out. And `width`,
`activation`, `norm`, `pooling`, `dropout`.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    InvertedResidual,
    Norm,
    Output,
    Pooling,
    global_pool,
    make_divisible,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate, Scale
from cnn_jax.models.registry import Net

# Table 2: expansion t, output channels c, repetitions n, stride s of the first.
BOTTLENECKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """Images [B, H, W, 3] of any size -> logits."""

    num_classes: int = 1000
    width: Scale = 1.0
    linear_bottleneck: bool = True
    shortcut: bool = True
    norm: Norm = "batch"
    activation: Activation = "relu6"
    pooling: Pooling = "avg"
    dropout: Rate = 0.2
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, "MobileNet v2")
        unit = ConvUnit(train, norm=self.norm, activation=self.activation, dtype=self.dtype)
        first = make_divisible(32 * self.width)
        x = unit(images, first, 3, stride=2, name="conv_first")  # 112x112x32
        index = 0
        for expansion, features, count, first_stride in BOTTLENECKS:
            # 112x112x16, 56x56x24, 28x28x32, 14x14x64, 14x14x96, 7x7x160, 7x7x320
            for i in range(count):
                index += 1
                x = InvertedResidual(
                    features=make_divisible(features * self.width),
                    expanded=expansion * x.shape[-1],
                    unit=unit,
                    stride=first_stride if i == 0 else 1,
                    linear=self.linear_bottleneck,
                    shortcut=self.shortcut,
                    name=f"bottleneck{index}",
                )(x)
        last = make_divisible(1280 * max(1.0, self.width))
        x = unit(x, last, 1, name="conv_last")  # 7x7x1280
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.normal(0.01)
        fc = nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name="fc")
        return Output(fc(x))


NETS = {"mobilenet_v2": Net(MobileNetV2)}
