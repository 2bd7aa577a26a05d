"""Pillow's operations on whole grey levels, with its own rounding.

Images are float32 [H, W, C] holding whole numbers 0 to 255, C = 1 or 3; see `whole`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

Number = jax.Array | float


def whole(image: jax.Array) -> jax.Array:
    """The nearest whole grey levels within 0 to 255."""
    return jnp.floor(jnp.clip(image, 0.0, 255.0) + 0.5)


def invert(image: jax.Array) -> jax.Array:
    return 255 - image


def solarize(image: jax.Array, threshold: Number) -> jax.Array:
    """Inverts the levels from `threshold` on."""
    return jnp.where(image < threshold, image, 255 - image)


def posterize(image: jax.Array, bits: Number) -> jax.Array:
    """Keeps the highest `bits` of the eight."""
    step = jnp.left_shift(1, 8 - jnp.asarray(bits, jnp.int32)).astype(jnp.float32)
    return jnp.floor(image / step) * step


def autocontrast(image: jax.Array) -> jax.Array:
    """Each channel's darkest level becomes 0 and its brightest 255."""
    levels = image.astype(jnp.int32)
    low, high = levels.min((0, 1)), levels.max((0, 1))
    spread = (levels - low) * 255 // jnp.maximum(high - low, 1)
    return jnp.where(high > low, spread.astype(jnp.float32), image)


def equalize(image: jax.Array) -> jax.Array:
    """Makes the histogram of each channel flat."""
    height, width, channels = image.shape
    levels = image.astype(jnp.int32).reshape(-1, channels) + 256 * jnp.arange(channels)
    counts = jnp.zeros(256 * channels, jnp.int32).at[levels].add(1, mode="promise_in_bounds")
    counts = counts.reshape(channels, 256)
    brightest = jnp.take_along_axis(counts, (image.max((0, 1)).astype(jnp.int32))[:, None], 1)
    step = (height * width - brightest) // 255
    below = jnp.cumsum(counts, 1) - counts
    table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    table = jnp.where(step > 0, table, jnp.arange(256)).reshape(-1)
    flat = table.at[levels].get(mode="promise_in_bounds")
    return flat.reshape(image.shape).astype(jnp.float32)


def grey(image: jax.Array) -> jax.Array:
    """The luma [H, W, 1]; a grey image is its own."""
    if image.shape[-1] == 1:
        return image
    weights = jnp.array([19595.0, 38470.0, 7471.0])
    return jnp.floor(((image * weights).sum(-1, keepdims=True) + 32768) / 65536)


def blend(start: Number, image: jax.Array, factor: Number) -> jax.Array:
    """From `start` (factor 0) over the image (1) and beyond, cut to whole levels."""
    return jnp.floor(jnp.clip(start + factor * (image - start), 0.0, 255.0))


def brightness(image: jax.Array, factor: Number) -> jax.Array:
    """Black at 0, the image at 1."""
    return blend(0.0, image, factor)


def contrast(image: jax.Array, factor: Number) -> jax.Array:
    """Its mean grey at 0, the image at 1."""
    return blend(jnp.floor(grey(image).mean() + 0.5), image, factor)


def color(image: jax.Array, factor: Number) -> jax.Array:
    """Its greys at 0, the image at 1; a grey image stays as it is."""
    return image if image.shape[-1] == 1 else blend(grey(image), image, factor)


def sharpness(image: jax.Array, factor: Number) -> jax.Array:
    """Smoothed at 0, the image at 1; the outermost pixels stay."""
    rows = image[:-2] + image[1:-1] + image[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    smooth = jnp.floor((around + 4 * image[1:-1, 1:-1]) / 13 + 0.5)
    return blend(image.at[1:-1, 1:-1].set(smooth), image, factor)
