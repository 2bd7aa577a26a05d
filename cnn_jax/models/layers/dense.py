"""Dense layers over whole maps, which slide where the map is larger than they were made for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from flax.linen.dtypes import promote_dtype

from cnn_jax.models.layers.shapes import Logits, Maps


class ConvolutionalDense(nn.Module):
    """A dense layer over a whole map: [B, H, W, C] -> [B, features].

    Over a map that is larger than the one it was made for, its weights slide as a kernel does, and
    there is an answer at every position, [B, H', W', features]: the fully-convolutional evaluation
    of Simonyan & Zisserman 2014, sec. 3.2. The map that it was made for is taken to be square.
    """

    features: int
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Logits | Maps:
        _, height, width, channels = x.shape
        side = 0
        if self.has_variable("params", "kernel"):
            side = math.isqrt(self.get_variable("params", "kernel").shape[0] // channels)
        if not 0 < side < min(height, width):
            side, x = 0, x.reshape(x.shape[0], -1)
        inputs = side * side * channels if side else x.shape[-1]
        kernel = self.param("kernel", self.kernel_init, (inputs, self.features))
        bias = self.param("bias", self.bias_init, (self.features,))
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        if not side:
            return x @ kernel + bias[None]
        kernel = kernel.reshape(side, side, channels, self.features)
        layout = ("NHWC", "HWIO", "NHWC")
        return bias[None, None, None] + jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=layout
        )


def mean_positions(logits: Logits | Maps) -> Logits:
    """[B, classes]: the mean over the positions of a net that slid over its image, if it did."""
    return logits if logits.ndim == 2 else logits.mean((1, 2))
