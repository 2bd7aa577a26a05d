"""EfficientNet: Tan, Le, "EfficientNet: Rethinking model scaling for convolutional neural
networks", ICML 2019.

    b0 5,288,548   b1 7,794,184    b2 9,109,994    b3 12,233,232
    b4 19,341,616  b5 30,389,784   b6 43,040,704   b7 66,347,960

Table 1 is b0: stage 1 a 3x3 with stride 2, stages 2 to 8 of mobile inverted bottlenecks (MobileNet
v2's) with squeeze-and-excitation, stage 9 a 1x1 to 1280, mean, fc; SiLU everywhere (sec. 5.2). The
gate is reduced to a quarter of the block's input, not of its expanded maps. `width` and `depth`
scale channels (to multiples of 8) and repetitions (rounded up) of all stages; b1 to b7 are the
authors' pairs with their own image size and dropout, near the powers of eq. 3.

Stochastic depth with survival 0.8 at the end, falling linearly over the blocks, and dropout 0.2
(b0) to 0.5 (b7): sec. 5.2, which also gives BatchNorm momentum 0.99. Epsilon is 1e-5 to b4 and 1e-3
from b5 on, as published weights have it (torchvision's; the authors' release has 1e-3 throughout).
Initialisation of the authors' release: N(0, 2 / fan-out), depthwise N(0, 2 / 9 or 25), fc uniform
on +- 1 / sqrt(classes).

Options off by default, each a deviation: `width`, `depth` and the image size alone (the paper's
fig. 3), `attention="none"`, `stochastic_depth`, `dropout`, `activation`, `norm`, `epsilon`,
`pooling`.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    HE_NORMAL,
    Activation,
    ConvUnit,
    Images,
    InvertedResidual,
    Norm,
    Output,
    Pooling,
    SqueezeExcitation,
    global_pool,
    make_divisible,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate, Scale
from cnn_jax.models.registry import Net

# Table 1, stages 2 to 8: expansion, kernel, stride, output channels, repetitions.
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
HE_FAN_OUT = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class EfficientNet(nn.Module):
    """Images [B, H, W, 3] of any size -> logits."""

    num_classes: int = 1000
    width: Scale = 1.0
    depth: Scale = 1.0
    attention: Literal["none", "se"] = "se"
    stochastic_depth: Rate = 0.2
    norm: Norm = "batch"
    epsilon: Scale = 1e-5
    activation: Activation = "silu"
    pooling: Pooling = "avg"
    dropout: Rate = 0.2
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        def scaled(channels: int) -> int:
            return make_divisible(channels * self.width)

        require_size(images, 1, "EfficientNet")
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            momentum=0.99,
            epsilon=self.epsilon,
            kernel_init=HE_FAN_OUT,
            dtype=self.dtype,
        )
        counts = [math.ceil(self.depth * row[-1]) for row in STAGES]
        x = unit(images, scaled(32), 3, stride=2, name="stage1")  # 112x112x32
        block = 0
        for level, (expansion, kernel, first_stride, features, _) in enumerate(STAGES, 2):
            # 112x112x16, 56x56x24, 28x28x40, 14x14x80, 14x14x112, 7x7x192, 7x7x320
            for i in range(counts[level - 2]):
                gate = functools.partial(
                    SqueezeExcitation,
                    max(1, x.shape[-1] // 4),
                    self.activation,
                    kernel_init=HE_FAN_OUT,
                    dtype=self.dtype,
                    name="attention",
                )
                x = InvertedResidual(
                    features=scaled(features),
                    expanded=expansion * x.shape[-1],
                    unit=unit,
                    kernel=kernel,
                    stride=first_stride if i == 0 else 1,
                    gate=gate if self.attention == "se" else None,
                    depthwise_init=HE_NORMAL,
                    drop_rate=self.stochastic_depth * block / sum(counts),
                    name=f"stage{level}_{i}",
                )(x)
                block += 1
        x = unit(x, scaled(1280), 1, name="stage9")  # 7x7x1280
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        init = nn.initializers.variance_scaling(1 / 3, "fan_out", "uniform")
        fc = nn.Dense(self.num_classes, kernel_init=init, dtype=self.dtype, name="fc")
        return Output(fc(x))


# The authors' release: width, depth, image size, dropout.
VARIANTS = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
}


def efficientnet(variant: str) -> Net:
    """The registry's entry for b0 ... b7."""
    width, depth, size, dropout = VARIANTS[variant]
    preset = {"width": width, "depth": depth, "dropout": dropout}
    if variant >= "b5":
        preset["epsilon"] = 1e-3
    return Net(EfficientNet, preset, (size, size, 3))


NETS = {f"efficientnet_{variant}": efficientnet(variant) for variant in VARIANTS}
