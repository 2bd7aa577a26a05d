"""Two examples made one: mixup and CutMix, and the targets that follow from it."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.data.augment import boxes
from cnn_jax.data.augment.array_types import Image, RandomKey

Pair = Float[Array, "2 h w c"]  # an example's image and its partner's


class MixedTargets(NamedTuple):
    """Targets of mixed images: the loss is lam * L(label) + (1 - lam) * L(partner)."""

    label: Int[Array, " b"]
    partner: Int[Array, " b"]
    lam: Float[Array, " b"]  # of the example itself


def mixup(key: RandomKey, pair: Pair, alpha: float = 0.2) -> tuple[Image, Float[Array, ""]]:
    """(lam * image + (1 - lam) * partner, lam).

    lam is drawn from Beta(alpha, alpha) (Zhang et al. 2018, sec. 2).
    """
    image, partner = pair
    lam = jax.random.beta(key, alpha, alpha)
    return lam * image + (1 - lam) * partner, lam


def cutmix(key: RandomKey, pair: Pair, alpha: float = 1.0) -> tuple[Image, Float[Array, ""]]:
    """A rectangle of the partner, 1 - Beta(alpha, alpha) of the area (Yun et al. 2019, sec. 3.1).

    Its centre is anywhere; what is cut off at the rim counts for the example itself.
    """
    image, partner = pair
    lam_key, place_key = jax.random.split(key)
    height, width = image.shape[:2]
    side = jnp.sqrt(1 - jax.random.beta(lam_key, alpha, alpha))
    x, y = jax.random.uniform(place_key, (2,)) * jnp.array([width, height], jnp.float32)
    left, right = (jnp.round(x + s * side * width / 2) for s in (-1, 1))
    top, bottom = (jnp.round(y + s * side * height / 2) for s in (-1, 1))
    pasted = boxes.box_mask(image.shape, left, top, right - left, bottom - top)
    lam = 1 - pasted.sum() / math.prod(image.shape[:2])
    return jnp.where(pasted, partner, image), lam


def mixup_or_cutmix(
    key: RandomKey, pair: Pair, mixup_alpha: float = 0.8, cutmix_alpha: float = 1.0
) -> tuple[Image, Float[Array, ""]]:
    """One of the two, each as likely (Liu et al. 2022, table 5; timm draws once a batch)."""
    choice_key, own_key = jax.random.split(key)
    is_mixup = jax.random.bernoulli(choice_key)
    either = mixup(own_key, pair, mixup_alpha), cutmix(own_key, pair, cutmix_alpha)
    image, lam = (jnp.where(is_mixup, a, b) for a, b in zip(*either, strict=True))
    return image, lam


MIXING = {"mixup": mixup, "cutmix": cutmix, "mixup_or_cutmix": mixup_or_cutmix}
