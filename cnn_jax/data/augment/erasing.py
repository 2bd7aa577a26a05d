"""Transforms that hide a part of the image."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnn_jax.data.augment import boxes
from cnn_jax.data.augment.array_types import Image, RandomKey


def random_erasing(
    key: RandomKey,
    image: Image,
    probability: float = 0.5,
    smallest_area: float = 0.02,
    largest_area: float = 0.4,
    narrowest: float = 0.3,
) -> Image:
    """Uniform noise over a rectangle of 2 to 40 % of the area (Zhong et al. 2017, sec. 3.2).

    Its height to width is `narrowest` to 1 / `narrowest`. Of ten draws the first that fits counts.
    """
    apply_key, box_key, noise_key = jax.random.split(key, 3)
    aspects = (narrowest, 1 / narrowest)
    box = boxes.sample_box(box_key, image.shape, (smallest_area, largest_area), aspects)
    erase = boxes.box_mask(image.shape, *box[:4]) & box.fits
    erase &= jax.random.bernoulli(apply_key, probability)
    return jnp.where(erase, jax.random.uniform(noise_key, image.shape, maxval=255.0), image)


def cutout(key: RandomKey, image: Image, side: int = 16) -> Image:
    """A black square about any pixel, cut off at the rim (DeVries and Taylor 2017, sec. 3)."""
    x, y = jax.random.randint(key, (2,), 0, jnp.array(image.shape[1::-1]))
    hidden = boxes.box_mask(image.shape, x - side // 2, y - side // 2, side, side)
    return jnp.where(hidden, 0.0, image)
