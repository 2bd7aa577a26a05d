"""Pillow's operations as transforms: each draws its strength, or whether it is done at all."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.data.augment import pillow_ops
from cnn_jax.data.augment.array_types import Image, RandomKey
from cnn_jax.data.augment.geometry import symmetric_uniform


def autocontrast(key: RandomKey, image: Image, probability: float = 0.5) -> Image:
    """Spreads each channel over 0 to 255, with the given probability."""
    return apply_randomly(key, probability, pillow_ops.autocontrast, image)


def equalize(key: RandomKey, image: Image, probability: float = 0.5) -> Image:
    """Makes each channel's histogram flat, with the given probability."""
    return apply_randomly(key, probability, pillow_ops.equalize, image)


def invert(key: RandomKey, image: Image, probability: float = 0.5) -> Image:
    """Black becomes white, with the given probability."""
    return apply_randomly(key, probability, pillow_ops.invert, image)


def posterize(key: RandomKey, image: Image, fewest_bits: int = 4) -> Image:
    """Keeps `fewest_bits` to 8 bits, each as likely."""
    return pillow_ops.posterize(
        pillow_ops.round_levels(image), jax.random.randint(key, (), fewest_bits, 9)
    )


def solarize(key: RandomKey, image: Image, lowest_threshold: int = 128) -> Image:
    """Inverts the levels from a threshold on, `lowest_threshold` to 256 (none)."""
    threshold = jax.random.randint(key, (), lowest_threshold, 257)
    return pillow_ops.solarize(pillow_ops.round_levels(image), threshold)


def sharpness(key: RandomKey, image: Image, strength: float = 0.5) -> Image:
    """Away from the smoothed image (or towards it) by 1 - strength to 1 + strength."""
    return pillow_ops.sharpness(
        pillow_ops.round_levels(image), 1 + symmetric_uniform(key, strength)
    )


def colour_jitter(
    key: RandomKey,
    image: Image,
    brightness: float = 0.5,
    contrast: float = 0.5,
    colour: float = 0.5,
) -> Image:
    """Pillow's brightness, contrast and colour, in random order, each times 1 - x to 1 + x.

    Howard, "Some improvements on deep convolutional neural network based image classification",
    2013, sec. 2.2: between 0.5 and 1.5. GoogLeNet's "photometric distortions" are these.
    """
    keys = jax.random.split(key, 4)
    changes = [
        functools.partial(change, factor=1 + symmetric_uniform(own_key, strength))
        for change, own_key, strength in zip(
            (pillow_ops.brightness, pillow_ops.contrast, pillow_ops.color),
            keys,
            (brightness, contrast, colour),
            strict=False,
        )
    ]
    image = pillow_ops.round_levels(image)
    for chosen in jax.random.permutation(keys[3], 3):
        image = jax.lax.select_n(chosen, *(change(image) for change in changes))
    return image


def apply_randomly(
    key: RandomKey, probability: float, change: Callable[[Image], Image], image: Image
) -> Image:
    """The changed image with the given probability, or as it is."""
    chosen = jax.random.bernoulli(key, probability)
    return jnp.where(chosen, change(pillow_ops.round_levels(image)), image)
