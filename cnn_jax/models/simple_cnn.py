"""Plain nets for MNIST: An, Lee, Park, Yang, So, "An ensemble of simple convolutional neural
network models for MNIST digit recognition", 2020 (arXiv 2008.10400).

    simple_cnn_m3: ten 3x3 convolutions, 28 -> 8 pixels, 32 to 176 maps; 1,124,180 parameters
    simple_cnn_m5: five 5x5, 28 -> 8, 32 to 160 maps;                  1,128,180
    simple_cnn_m7: four 7x7, 28 -> 4, 48 to 192 maps;                  2,291,972

No pools and no borders: every convolution takes `kernel - 1` pixels off the map. Each has BatchNorm
and ReLU, no bias; one dense layer without bias reads the last map, and a BatchNorm follows it too.
Weights start uniform within 1 / sqrt(fan-in), as in the authors' code (MnistSimpleCNN, models/).
`width=0.5` has half the maps, for a laptop; `norm` and `activation` are the other options.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax.models.layers import (
    UNIFORM,
    Activation,
    ConvUnit,
    Images,
    Norm,
    Output,
    norm,
    require_size,
)
from cnn_jax.models.options import Scale, Widths
from cnn_jax.models.registry import Net


class SimpleCNN(nn.Module):
    """Images [B, H, W, C], 28 pixels in the paper -> logits."""

    num_classes: int = 10
    kernel: int = 3
    widths: Widths = tuple(range(32, 177, 16))  # of the convolutions
    width: Scale = 1.0
    norm: Norm = "batch"
    activation: Activation = "relu"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, len(self.widths) * (self.kernel - 1) + 1, "simple_cnn")
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            dtype=self.dtype,
            kernel_init=UNIFORM,
        )
        x = images
        for i, features in enumerate(self.widths, 1):
            features = max(1, round(self.width * features))
            x = unit(x, features, self.kernel, padding="VALID", name=f"conv{i}")
        x = x.reshape(x.shape[0], -1)  # a length may be a symbol
        fc = nn.Dense(
            self.num_classes, use_bias=False, kernel_init=UNIFORM, dtype=self.dtype, name="fc"
        )
        return Output(norm(self.norm, train, name="fc_norm", dtype=self.dtype)(fc(x)))


def columns(kernel: int, *widths: int) -> Net:
    preset = {"kernel": kernel, "widths": widths}
    return Net(SimpleCNN, preset, (28, 28, 1), 10, not_options=("kernel", "widths"))


NETS = {
    "simple_cnn_m3": columns(3, *range(32, 177, 16)),
    "simple_cnn_m5": columns(5, 32, 64, 96, 128, 160),
    "simple_cnn_m7": columns(7, 48, 96, 144, 192),
}
