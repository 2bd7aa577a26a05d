"""Two examples made one: mixup and CutMix, and the targets that follow from it."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.data.augment import boxes


class Mixed(NamedTuple):
    """Targets of mixed images: the loss is share * L(label) + (1 - share) * L(partner)."""

    label: jax.Array  # int32 [B]
    partner: jax.Array  # int32 [B]
    share: jax.Array  # float32 [B], of the example itself


def mixup(key: jax.Array, pair: jax.Array, alpha: float = 0.2) -> tuple[jax.Array, jax.Array]:
    """(share * image + (1 - share) * partner, share) of a pair [2, H, W, C].

    The share is drawn from Beta(alpha, alpha) (Zhang et al. 2018, sec. 2).
    """
    image, partner = pair
    share = jax.random.beta(key, alpha, alpha)
    return share * image + (1 - share) * partner, share


def cutmix(key: jax.Array, pair: jax.Array, alpha: float = 1.0) -> tuple[jax.Array, jax.Array]:
    """A rectangle of the partner, 1 - Beta(alpha, alpha) of the area (Yun et al. 2019, sec. 3.1).

    Its centre is anywhere; what is cut off at the rim counts for the example itself.
    """
    image, partner = pair
    share_key, place_key = jax.random.split(key)
    height, width = image.shape[:2]
    side = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha))
    x, y = jax.random.uniform(place_key, (2,)) * jnp.array([width, height], jnp.float32)
    left, right = (jnp.round(x + s * side * width / 2) for s in (-1, 1))
    top, bottom = (jnp.round(y + s * side * height / 2) for s in (-1, 1))
    pasted = boxes.mask(image.shape, left, top, right - left, bottom - top)
    share = 1 - pasted.sum() / math.prod(image.shape[:2])
    return jnp.where(pasted, partner, image), share


MIXING = {"mixup": mixup, "cutmix": cutmix}
