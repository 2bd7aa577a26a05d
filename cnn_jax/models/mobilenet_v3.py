"""MobileNet v3: Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le, Adam,
"Searching for MobileNetV3", ICCV 2019.

    mobilenet_v3_large 5,483,032      mobilenet_v3_small 2,542,856

Tables 1 and 2. A bottleneck is MobileNet v2's with a squeeze-and-excitation gate on the expanded
maps (fig. 4), reduced to a quarter (sec. 5.3), its sigmoid piecewise linear as everywhere here
(sec. 5.2); the deeper half has h-swish for ReLU. The last stage means before it widens (sec. 5.1,
fig. 5): 1x1 to 960 (576), mean, 1x1 without norm to 1280 (1024), fc.

BatchNorm momentum 0.99 and dropout 0.2 ("dropout of 0.8" is what is kept), sec. 6.1.1; epsilon 1e-3
as the authors' release. The paper states no initialisation: N(0, 2 / fan-in), dense N(0, 0.01).

Options off by default, each a deviation: `attention="none"` without the gates, `activation`
in place of h-swish in the deeper half (table 5 has ReLU), `width`, `norm`, `epsilon` (timm's
weights have 1e-5), `pooling`, `dropout`.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    InvertedResidual,
    Norm,
    Output,
    Pooling,
    SqueezeExcitation,
    activate,
    global_pool,
    make_divisible,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate, Scale
from cnn_jax.models.registry import Net

# Tables 1 and 2: kernel, expanded channels, output channels, SE, h-swish, stride.
LARGE = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
SMALL = (
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


class MobileNetV3(nn.Module):
    """Images [B, H, W, 3] of any size -> logits."""

    num_classes: int = 1000
    variant: Literal["small", "large"] = "large"
    width: Scale = 1.0
    attention: Literal["none", "se"] = "se"
    norm: Norm = "batch"
    epsilon: Scale = 1e-3
    activation: Activation = "hard_swish"
    pooling: Pooling = "avg"
    dropout: Rate = 0.2
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        def scaled(channels: int) -> int:
            return make_divisible(channels * self.width)

        require_size(images, 1, f"MobileNet v3 {self.variant}")
        table, head = (LARGE, 1280) if self.variant == "large" else (SMALL, 1024)
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            momentum=0.99,
            epsilon=self.epsilon,
            dtype=self.dtype,
        )
        x = unit(images, scaled(16), 3, stride=2, name="conv_first")  # 112x112x16
        for i, (kernel, expanded, features, squeeze, swish, stride) in enumerate(table, 1):
            # large: 112x112x16, 56x56x24, 28x28x40, 14x14x80, 14x14x112, 7x7x160
            gate = functools.partial(
                SqueezeExcitation,
                make_divisible(scaled(expanded) / 4),
                gate="hard_sigmoid",
                dtype=self.dtype,
                name="attention",
            )
            x = InvertedResidual(
                features=scaled(features),
                expanded=scaled(expanded),
                unit=unit if swish else unit.replace(activation="relu"),
                kernel=kernel,
                stride=stride,
                gate=gate if squeeze and self.attention == "se" else None,
                name=f"bneck{i}",
            )(x)
        x = unit(x, 6 * x.shape[-1], 1, name="conv_last")  # 7x7x960
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        dense = functools.partial(
            nn.Dense, kernel_init=nn.initializers.normal(0.01), dtype=self.dtype
        )
        x = activate(self.activation, dense(head, name="fc1")(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Output(dense(self.num_classes, name="fc2")(x))


NETS = {
    f"mobilenet_v3_{variant}": Net(MobileNetV3, {"variant": variant}, not_options=("variant",))
    for variant in ("small", "large")
}
