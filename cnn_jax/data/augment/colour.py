"""Transforms that change grey levels and colours, and leave every pixel in its place.

The result is kept within 0 to 255, but for the sums of `pca_lighting`, `pca_colour` and
`gaussian_noise`. A grey image (C = 1) has no hue or saturation: those two leave it as it is.
"""

from __future__ import annotations

import functools

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


def pca_colour(
    key: RandomKey, image: Image, std: float = 0.1, *, directions: Float[np.ndarray, "c c"]
) -> Image:
    """`pca_lighting` along the colours' standard deviations, which have the unit of a grey level.

    So is AlexNet's own code (cuda-convnet2, convdata.py: "color_stdevs"), where the paper prints
    their squares, the eigenvalues: of photographs a shift of about 10 levels against 4.
    """
    lengths = np.linalg.norm(directions, axis=0, keepdims=True)  # 255 l_i, l_i of pixels in 0 to 1
    deviations = directions * np.sqrt(255 / np.maximum(lengths, 1e-12))
    return pca_lighting(key, image, std, directions=deviations.astype(np.float32))


def inception_colour(key: RandomKey, image: Image) -> Image:
    """Brightness, saturation, hue and contrast in one of four orders, each as likely.

    As the authors of Inception v3 have it (TensorFlow models, slim, inception_preprocessing.py,
    distort_color): up to 32 levels, 0.5 to 1.5, 0.2 of the circle, 0.5 to 1.5.
    """
    keys = jax.random.split(key, 5)
    b, s, h, c = (
        (lambda x, f=change, k=own_key, by=strength: f(k, x, by))
        for change, own_key, strength in (
            (brightness, keys[0], 32 / 255),
            (saturation, keys[1], 0.5),
            (hue, keys[2], 0.2),
            (contrast, keys[3], 0.5),
        )
    )
    orders = ((b, s, h, c), (s, b, c, h), (c, h, b, s), (h, s, c, b))
    changed = [functools.reduce(lambda x, change: change(x), o, image) for o in orders]
    return jax.lax.select_n(jax.random.randint(keys[4], (), 0, 4), *changed)


def clip_levels(image: Image) -> Image:
    return jnp.clip(image, 0.0, 255.0)
