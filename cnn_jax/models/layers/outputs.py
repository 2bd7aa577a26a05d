"""What every net takes and returns, and what it lets others see while it runs."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax

from cnn_jax.errors import UserError
from cnn_jax.models.layers.shapes import Activations, Logits


class Output(NamedTuple):
    """What every net returns: `logits` [B, K], and the auxiliary heads' logits while training."""

    logits: Logits
    auxiliary: tuple[Logits, ...] = ()


def require_size(x: jax.Array, minimum: int, net: str) -> None:
    """Raises unless images are [B, H, W, C] with both sides at least `minimum` pixels."""
    if x.ndim != 4:
        raise UserError(f"{net} takes images [B, H, W, C], not an array of shape {x.shape}")
    if min(x.shape[1:3]) < minimum:
        raise UserError(
            f"{net} needs images of at least {minimum}x{minimum} pixels, not "
            f"{x.shape[1]}x{x.shape[2]}: set config.data.image_size={minimum} or more"
        )


def sow_activation(net: nn.Module, name: str, x: Activations) -> Activations:
    """`x`, made known to `capture_intermediates` as `name`: for pools, which are no modules."""
    net.sow("intermediates", name, x)
    return x


def compute_auxiliary(net: nn.Module, train: bool) -> bool:
    """Whether a net computes its auxiliary heads.

    It does while training, at `init` (so that their parameters exist), and in evaluation for a
    caller that asks by `apply(..., mutable=["auxiliary"])`.
    """
    return train or net.is_mutable_collection("auxiliary")
