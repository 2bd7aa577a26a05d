"""Transforms that change grey levels and colours, and leave every pixel in its place.

The result is kept within 0 to 255, but for the sums of `pca_lighting` and `gaussian_noise`. A grey
image (C = 1) has no hue or saturation: those two leave it as it is.
"""

from __future__ import annotations

import math

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augment.geometry import symmetric_uniform
from cnn_jax.data.whitening import Images, parts


def brightness(key: jax.Array, image: jax.Array, strength: float = 0.2) -> jax.Array:
    """Adds up to `strength` of the range, 255 levels, either way."""
    return clip_levels(dm_pix.adjust_brightness(image, symmetric_uniform(key, 255 * strength)))


def contrast(key: jax.Array, image: jax.Array, strength: float = 0.2) -> jax.Array:
    """Each channel's distance from its mean times 1 - strength to 1 + strength."""
    return clip_levels(dm_pix.adjust_contrast(image, 1 + symmetric_uniform(key, strength)))


def saturation(key: jax.Array, image: jax.Array, strength: float = 0.2) -> jax.Array:
    """The saturation (of hue, saturation, value) times 1 - strength to 1 + strength."""
    if image.shape[-1] == 1:
        return image
    changed = dm_pix.adjust_saturation(
        clip_levels(image) / 255, 1 + symmetric_uniform(key, strength)
    )
    return clip_levels(255 * changed)


def hue(key: jax.Array, image: jax.Array, turn: float = 0.05) -> jax.Array:
    """Turns the hue by up to `turn` of the colour circle, either way."""
    if image.shape[-1] == 1:
        return image
    return clip_levels(
        255 * dm_pix.adjust_hue(clip_levels(image) / 255, symmetric_uniform(key, turn))
    )


def colour_cast(key: jax.Array, image: jax.Array, strength: float = 0.1) -> jax.Array:
    """Each channel times its own 1 - strength to 1 + strength: light of another colour.

    With one channel it is the light's strength alone.
    """
    return clip_levels(image * (1 + symmetric_uniform(key, strength, image.shape[-1:])))


def gaussian_noise(key: jax.Array, image: jax.Array, std: float = 5.0) -> jax.Array:
    """Independent noise for each pixel and channel, in grey levels."""
    return image + std * jax.random.normal(key, image.shape)


def pca_lighting(
    key: jax.Array, image: jax.Array, std: float = 0.1, *, directions: np.ndarray
) -> jax.Array:
    """Adds sum_i p_i a_i l_i to every pixel, a_i normal with `std` (AlexNet, sec. 4.1).

    `directions` [C, C] are the columns p_i l_i of `principal_colours`, in grey levels.
    """
    multiples = std * jax.random.normal(key, image.shape[-1:])
    # Written out: a matrix product may be done in low precision.
    return image + (jnp.asarray(directions) * multiples).sum(-1)


def principal_colours(images: Images) -> np.ndarray:
    """Columns p_i l_i: eigenvectors of the pixels' covariance times eigenvalues, float32 [C, C].

    `images` uint8 [N, H, W, C], or streamed: then they are all decoded once. The sums are of whole
    numbers, exact. An eigenvalue has the unit of a square, and the paper does not name it: here it
    is that of pixels in 0 to 1 (in grey levels a tenth would be hundreds of levels).
    """
    channels = images.shape[-1]
    total, square = np.zeros(channels), np.zeros((channels, channels))
    for array in parts(images):
        for part in np.array_split(array, -(-array.size // 2**24)):
            pixels = part.reshape(-1, channels).astype(np.float64)
            total += pixels.sum(0)
            square += pixels.T @ pixels
    count = math.prod(images.shape[:-1])
    covariance = square / count - np.outer(total, total) / count**2
    values, vectors = np.linalg.eigh(covariance / 255**2)
    return np.float32(255 * vectors * values)


def clip_levels(image: jax.Array) -> jax.Array:
    return jnp.clip(image, 0.0, 255.0)
