"""The perceptron and the multilayer perceptron: where every course begins.

The perceptron here is the single layer of linear units that LeCun et al. 1998 call "linear
classifier" (Fig. 9, sec. III-C.1); the 28x28-300-10 network is their two-layer net (sec. III-C.5).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax.models.layers import Activation, Images, Norm, Output, activate, norm
from cnn_jax.models.options import Rate, Widths
from cnn_jax.models.registry import Net


class Perceptron(nn.Module):
    """One linear layer from pixels to logits: 28*28*10 + 10 = 7,850 parameters on MNIST."""

    num_classes: int = 10
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        x = images.reshape(images.shape[0], -1)
        return Output(nn.Dense(self.num_classes, name="output", dtype=self.dtype)(x))


class MLP(nn.Module):
    """Hidden layers of the given widths: 238,510 parameters with 300 units on MNIST."""

    num_classes: int = 10
    hidden: Widths = (300,)
    activation: Activation = "relu"
    norm: Norm = "none"
    dropout: Rate = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        x = images.reshape(images.shape[0], -1)
        for i, width in enumerate(self.hidden, 1):
            bias = self.norm != "batch"
            x = nn.Dense(width, use_bias=bias, name=f"hidden{i}", dtype=self.dtype)(x)
            x = norm(self.norm, train, name=f"norm{i}", dtype=self.dtype)(x)
            x = activate(self.activation, x)
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Output(nn.Dense(self.num_classes, name="output", dtype=self.dtype)(x))


NETS = {
    "perceptron": Net(Perceptron, {}, (28, 28, 1), 10),
    "mlp": Net(MLP, {}, (28, 28, 1), 10),
}
