"""Gates at the end of a branch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers.activations import Activation, activate
from cnn_jax.models.layers.cbam import CBAM
from cnn_jax.models.layers.convolutions import HE_NORMAL
from cnn_jax.models.layers.norms import Norm
from cnn_jax.models.layers.pooling import global_pool
from cnn_jax.models.layers.shapes import Activations

Attention = Literal["none", "se", "cbam", "cbam_spatial_first"]


class SqueezeExcitation(nn.Module):
    """Each map of x [B, H, W, C] times a gate in [0, 1], from all maps' means by two dense layers.

    Hu et al. 2017, "Squeeze-and-excitation networks", sec. 3. `reduced` is the hidden width.
    """

    reduced: int
    activation: Activation = "relu"
    gate: Literal["sigmoid", "hard_sigmoid"] = "sigmoid"
    kernel_init: Callable = HE_NORMAL
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Activations) -> Activations:
        dense = functools.partial(nn.Dense, kernel_init=self.kernel_init, dtype=self.dtype)
        z = global_pool("avg", x)  # squeeze
        z = activate(self.activation, dense(self.reduced, name="fc1")(z))
        z = dense(x.shape[-1], name="fc2")(z)
        gate = nn.sigmoid(z) if self.gate == "sigmoid" else nn.hard_sigmoid(z)
        return x * gate[:, None, None, :]


def attention(kind: Attention, x: Activations, train: bool, norm: Norm, dtype: Any) -> Activations:
    """The gate at the end of a branch; the module is named `attention`."""
    if kind == "none":
        return x
    if kind == "se":
        return SqueezeExcitation(x.shape[-1] // 16, dtype=dtype, name="attention")(x)
    order = "channel_first" if kind == "cbam" else "spatial_first"
    return CBAM(order, norm=norm, dtype=dtype, name="attention")(x, train)
