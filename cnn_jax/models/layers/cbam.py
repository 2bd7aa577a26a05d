"""CBAM: Woo, Park, Lee, Kweon, "CBAM: Convolutional block attention module", ECCV 2018.

A module for the end of a residual branch, before the addition (fig. 3): a gate for each channel,
then a gate for each position. Reduction ratio 16, both descriptors, 7x7 kernel, channel first: the
best of each of the paper's ablations (tables 1 to 3). The perceptron has biases and the spatial
convolution has none but BatchNorm with momentum 0.99, whose scale starts at 0, so that every gate
of a position starts at 1/2, as in the authors' release; the paper leaves this open (eq. 2, 3).
`resnet50_cbam` is in resnet.py.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.layers.activations import activate
from cnn_jax.models.layers.convolutions import HE_NORMAL, ConvUnit
from cnn_jax.models.layers.norms import Norm
from cnn_jax.models.layers.pooling import global_pool
from cnn_jax.models.layers.shapes import Activations, Maps


class ChannelAttention(nn.Module):
    """sigmoid(MLP(mean of each map) + MLP(maximum of each map)), [B, 1, 1, C] (eq. 2)."""

    reduction: int = 16
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        channels = x.shape[-1]
        z = jnp.stack([global_pool("avg", x), global_pool("max", x)], axis=1)  # one MLP for both
        for name, units in (("fc1", max(1, channels // self.reduction)), ("fc2", channels)):
            z = nn.Dense(units, kernel_init=HE_NORMAL, dtype=self.dtype, name=name)(z)
            z = activate("relu", z) if name == "fc1" else z
        return nn.sigmoid(z.sum(1))[:, None, None, :]


class SpatialAttention(nn.Module):
    """sigmoid(7x7 convolution of the maximum and the mean over channels), [B, H, W, 1] (eq. 3)."""

    kernel: int = 7
    norm: Norm = "batch"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps, train: bool) -> Maps:
        z = jnp.stack([ops.axis_max(x, -1), x.mean(-1)], axis=-1)
        unit = ConvUnit(train, norm=self.norm, momentum=0.99, dtype=self.dtype)
        zero = self.norm != "none"  # a kernel at 0 without a scale behind it
        return nn.sigmoid(unit(z, 1, self.kernel, name="conv", zero_init=zero))


class CBAM(nn.Module):
    """x [B, H, W, C] times its channel gate, then that times its spatial gate (eq. 1)."""

    order: Literal["channel_first", "spatial_first"] = "channel_first"
    reduction: int = 16
    kernel: int = 7
    norm: Norm = "batch"
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Activations, train: bool) -> Activations:
        channel = ChannelAttention(self.reduction, self.dtype, name="channel")
        spatial = SpatialAttention(self.kernel, self.norm, self.dtype, name="spatial")
        if self.order == "channel_first":
            x = x * channel(x)
            return x * spatial(x, train)
        x = x * spatial(x, train)
        return x * channel(x)
