"""What residual nets share: the addition, and widths that are multiples of eight."""

from __future__ import annotations

import jax

from cnn_jax import ops
from cnn_jax.models.layers.activations import Activation, activate


def residual_add(
    shortcut: jax.Array | None, branch: jax.Array, activation: Activation = "none"
) -> jax.Array:
    """activation(shortcut + branch), computed once however many read it; None adds nothing."""
    total = branch if shortcut is None else shortcut + branch
    return ops.materialize(activate(activation, total))


def make_divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `channels`, but never under nine tenths of it.

    The rounding of scaled widths in the authors' releases of MobileNet v2, v3 and EfficientNet.
    """
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded if rounded >= 0.9 * channels else rounded + by
