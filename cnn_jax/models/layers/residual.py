"""What residual nets share: the addition, branches left out at random, the inverted residual."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn

from cnn_jax import ops
from cnn_jax.models.layers.activations import Activation, activate
from cnn_jax.models.layers.convolutions import ConvUnit, Initializer
from cnn_jax.models.layers.shapes import Maps


def residual_add(shortcut: Maps | None, branch: Maps, activation: Activation = "none") -> Maps:
    """activation(shortcut + branch), computed once however many read it; None adds nothing."""
    total = branch if shortcut is None else shortcut + branch
    return ops.materialize(activate(activation, total))


def stochastic_depth(branch: Maps, rate: float, train: bool) -> Maps:
    """Huang et al. 2016: one draw for each example leaves its whole branch out, or scales it up."""
    return nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)(branch)


class InvertedResidual(nn.Module):
    """Expand, filter each map alone, gate, project; a shortcut where input and output agree.

    The block of Sandler et al. 2018 ("MobileNetV2", fig. 4d), which MobileNet v3 and EfficientNet
    build on. [B, H, W, C] -> [B, H / stride, W / stride, features].
    """

    features: int
    expanded: int  # channels of the depthwise filter; the 1x1 is left out where x has as many
    unit: ConvUnit
    kernel: int = 3
    stride: int = 1
    gate: Callable[[], nn.Module] | None = None  # makes what multiplies the expanded maps
    depthwise_init: Initializer | None = None  # None: the unit's
    linear: bool = True  # no non-linearity behind the projection
    shortcut: bool = True
    drop_rate: float = 0.0  # how often training leaves the branch out

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        unit, y = self.unit, x
        project = unit.replace(activation="none") if self.linear else unit
        depthwise = unit
        if self.depthwise_init is not None:
            depthwise = unit.replace(kernel_init=self.depthwise_init)
        if self.expanded != x.shape[-1]:
            y = unit(y, self.expanded, 1, name="expand")
        y = depthwise(
            y, self.expanded, self.kernel, self.stride, groups=self.expanded, name="depthwise"
        )
        if self.gate is not None:
            y = self.gate()(y)
        y = project(y, self.features, 1, name="project")
        if not self.shortcut or x.shape != y.shape:
            return y
        if self.drop_rate:
            y = stochastic_depth(y, self.drop_rate, unit.train)
        return residual_add(x, y)


def make_divisible(channels: int | float, by: int = 8) -> int:
    """The multiple of `by` nearest to `channels`, but never under nine tenths of it.

    The rounding of scaled widths in the authors' releases of MobileNet v2, v3 and EfficientNet.
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded if rounded >= 0.9 * channels else rounded + by
