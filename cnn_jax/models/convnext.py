"""ConvNeXt: Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022.

`convnext_tiny`, 28,589,128 parameters: table 9, channels 96, 192, 384, 768 and 3, 3, 9, 3 blocks.
A 4x4 stem with stride 4 (sec. 2.2), blocks of a depthwise 7x7, LayerNorm over channels, 1x1 to four
times the width, GELU, 1x1 back (fig. 4), and between stages LayerNorm and a 2x2 with stride 2 (sec.
2.6). One norm and one activation a block; all convolutions have biases.

Layer scale starts at 1e-6 and stochastic depth rises linearly to 0.1 (table 5 and appendix A.1);
LayerNorm epsilon 1e-6, initialisation N(0, 0.02), biases zero, as in the authors' release (table 5
prints 0.2; their truncation lies at 100 deviations).

Options, each a row of fig. 2's path back to ResNet: `kernel` (3 ... 11, sec. 2.5), `activation`
("relu"), `norm` ("batch" after each depthwise, or "none"). And `stochastic_depth`, `layer_scale` (0
leaves it out), `pooling`, `dropout` before fc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    Activation,
    Activations,
    Images,
    Maps,
    Output,
    Pooling,
    activate,
    conv,
    global_pool,
    norm,
    require_size,
    residual_add,
    sow_activation,
    stochastic_depth,
)
from cnn_jax.models.options import Count, NonNegative, Rate
from cnn_jax.models.registry import Net

WIDTHS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
NORMAL = nn.initializers.normal(0.02)


class Block(nn.Module):
    """Depthwise 7x7, norm, 1x1, GELU, 1x1, layer scale; plus the shortcut (fig. 4, right)."""

    normalise: Callable[..., Activations]
    kernel: int = 7
    activation: Activation = "gelu"
    layer_scale: float = 1e-6
    drop_rate: float = 0.0  # how often training leaves the branch out
    train: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        channels = x.shape[-1]
        y = conv(
            channels,
            self.kernel,
            padding=self.kernel // 2,
            groups=channels,
            name="depthwise",
            kernel_init=NORMAL,
            dtype=self.dtype,
        )(x)
        y = self.normalise(y, name="norm")
        y = conv(4 * channels, 1, name="expand", kernel_init=NORMAL, dtype=self.dtype)(y)
        y = activate(self.activation, y)
        y = conv(channels, 1, name="project", kernel_init=NORMAL, dtype=self.dtype)(y)
        if self.layer_scale:
            constant = nn.initializers.constant(self.layer_scale)
            scale = self.param("layer_scale", constant, (channels,)).astype(y.dtype)
            y = y * scale[None, None, None]
        y = stochastic_depth(y, self.drop_rate, self.train)
        return residual_add(x, y)


class ConvNeXt(nn.Module):
    """Images [B, H, W, 3] of at least 32 pixels -> logits."""

    num_classes: int = 1000
    kernel: Count = 7
    norm: Literal["layer", "batch", "none"] = "layer"
    activation: Activation = "gelu"
    layer_scale: NonNegative = 1e-6
    stochastic_depth: Rate = 0.1
    pooling: Pooling = "avg"
    dropout: Rate = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        def normalise(x: Activations, name: str) -> Activations:
            if self.norm == "layer":  # each position's channels, unlike `layers.norm`
                return nn.LayerNorm(epsilon=1e-6, name=name, dtype=self.dtype)(x)
            return norm(self.norm, train, name=name, dtype=self.dtype)(x)

        def patch(x: Maps, features: int, size: int, name: str) -> Maps:
            return conv(
                features,
                size,
                size,
                padding="VALID",
                name=name,
                kernel_init=NORMAL,
                dtype=self.dtype,
            )(x)

        require_size(images, 32, "ConvNeXt")
        x = normalise(patch(images, WIDTHS[0], 4, "stem"), "stem_norm")  # 56x56x96
        index = 0
        for level, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
            if level > 1:  # 28x28x192, 14x14x384, 7x7x768
                x = normalise(x, f"downsample{level}_norm")
                x = patch(x, width, 2, f"downsample{level}")
            for i in range(depth):
                x = Block(
                    normalise=normalise,
                    kernel=self.kernel,
                    activation=self.activation,
                    layer_scale=self.layer_scale,
                    drop_rate=self.stochastic_depth * index / (sum(DEPTHS) - 1),
                    train=train,
                    dtype=self.dtype,
                    name=f"stage{level}_{i}",
                )(x)
                index += 1
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = normalise(x, "norm")
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=NORMAL, dtype=self.dtype, name="fc")
        return Output(fc(x))


NETS = {"convnext_tiny": Net(ConvNeXt)}
