"""Transforms that change grey levels and colours, and leave every pixel in its place.

The result is kept within 0 to 255, but for the sums of `pca_lighting` and `gaussian_noise`. A grey
image (C = 1) has no hue or saturation: those two leave it as it is.
"""

from __future__ import annotations

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cnn_jax.data.augment.array_types import Image, RandomKey
from cnn_jax.data.augment.geometry import symmetric_uniform


def brightness(key: RandomKey, image: Image, strength: float = 0.2) -> Image:
    """Adds up to `strength` of the range, 255 levels, either way."""
    return clip_levels(dm_pix.adjust_brightness(image, symmetric_uniform(key, 255 * strength)))


def contrast(key: RandomKey, image: Image, strength: float = 0.2) -> Image:
    """Each channel's distance from its mean times 1 - strength to 1 + strength."""
    return clip_levels(dm_pix.adjust_contrast(image, 1 + symmetric_uniform(key, strength)))


def saturation(key: RandomKey, image: Image, strength: float = 0.2) -> Image:
    """The saturation (of hue, saturation, value) times 1 - strength to 1 + strength."""
    if image.shape[-1] == 1:
        return image
    changed = dm_pix.adjust_saturation(
        clip_levels(image) / 255, 1 + symmetric_uniform(key, strength)
    )
    return clip_levels(255 * changed)


def hue(key: RandomKey, image: Image, turn: float = 0.05) -> Image:
    """Turns the hue by up to `turn` of the colour circle, either way."""
    if image.shape[-1] == 1:
        return image
    return clip_levels(
        255 * dm_pix.adjust_hue(clip_levels(image) / 255, symmetric_uniform(key, turn))
    )


def colour_cast(key: RandomKey, image: Image, strength: float = 0.1) -> Image:
    """Each channel times its own 1 - strength to 1 + strength: light of another colour.

    With one channel it is the light's strength alone.
    """
    factors = 1 + symmetric_uniform(key, strength, image.shape[-1:])
    return clip_levels(image * factors[None, None])


def gaussian_noise(key: RandomKey, image: Image, std: float = 5.0) -> Image:
    """Independent noise for each pixel and channel, in grey levels."""
    return image + std * jax.random.normal(key, image.shape)


def pca_lighting(
    key: RandomKey, image: Image, std: float = 0.1, *, directions: Float[np.ndarray, "c c"]
) -> Image:
    """Adds sum_i p_i a_i l_i to every pixel, a_i normal with `std` (AlexNet, sec. 4.1).

    `directions` are the columns p_i l_i of `principal_colours`, in grey levels.
    """
    multiples = std * jax.random.normal(key, image.shape[-1:])
    # Written out: a matrix product may be done in low precision.
    return image + (jnp.asarray(directions) * multiples[None]).sum(-1)[None, None]


def clip_levels(image: Image) -> Image:
    return jnp.clip(image, 0.0, 255.0)
