"""Pillow's operations on whole grey levels, with its own rounding.

Images are float32 [H, W, C] holding whole numbers 0 to 255, C = 1 or 3; see `round_levels`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

Number = jax.Array | float
RAMP = np.arange(256, dtype=np.float32)[:, None]  # every level, for any number of channels
TINY = 1e-4  # quotients of whole numbers: none is so near below a whole number


def round_levels(image: jax.Array) -> jax.Array:
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


def stretch_range(levels: jax.Array, low: Number, high: Number) -> jax.Array:
    """`low` becomes 0 and `high` 255."""
    changed = jnp.floor((levels - low) * 255 / jnp.maximum(high - low, 1) + TINY)
    return jnp.where(high > low, jnp.clip(changed, 0.0, 255.0), levels)


def autocontrast(image: jax.Array) -> jax.Array:
    """Each channel's darkest level becomes 0 and its brightest 255."""
    return stretch_range(image, image.min((0, 1), keepdims=True), image.max((0, 1), keepdims=True))


def equalization_table(image: jax.Array) -> jax.Array:
    """What each level of each channel becomes, so that the histograms are flat: [256, C]."""
    height, width, channels = image.shape
    cells = image.astype(jnp.int32) + 256 * jnp.arange(channels)[None, None]
    counts = jnp.zeros(256 * channels, jnp.int32).at[cells.ravel()].add(1)
    counts = counts.reshape(channels, 256).T.astype(jnp.float32)
    # A product, as a running sum of 256 is slow on a CPU; whole numbers, so it is exact.
    below = jnp.einsum(
        "vu,uc->vc", np.tri(256, k=-1, dtype=np.float32), counts, precision="highest"
    )
    brightest = image.max((0, 1))[None]
    last = jnp.where(brightest == RAMP, counts, 0).sum(0, keepdims=True)
    step = jnp.floor((height * width - last) / 255 + TINY)
    table = jnp.floor((jnp.floor(step / 2) + below) / jnp.maximum(step, 1) + TINY)
    return jnp.where(step > 0, jnp.minimum(table, 255), RAMP)


def equalize(image: jax.Array) -> jax.Array:
    """Makes the histogram of each channel flat."""
    return look_up(equalization_table(image), image)


def look_up(table: jax.Array, image: jax.Array) -> jax.Array:
    """The image with every level replaced by what `table` [256, C] has for it."""
    channels = image.shape[-1]
    cells = image.astype(jnp.int32) * channels + jnp.arange(channels)[None, None]
    return table.reshape(-1).at[cells].get(mode="promise_in_bounds")


def luma(image: jax.Array) -> jax.Array:
    """The luma [H, W, 1]; a grey image is its own."""
    if image.shape[-1] == 1:
        return image
    weights = jnp.array([[[19595.0, 38470.0, 7471.0]]])
    return jnp.floor(((image * weights).sum(-1, keepdims=True) + 32768) / 65536)


def blend(start: Number, image: jax.Array, factor: Number) -> jax.Array:
    """From `start` (factor 0) over the image (1) and beyond, cut to whole levels."""
    return jnp.floor(jnp.clip(start + factor * (image - start), 0.0, 255.0))


def brightness(image: jax.Array, factor: Number) -> jax.Array:
    """Black at 0, the image at 1."""
    return blend(0.0, image, factor)


def contrast(image: jax.Array, factor: Number) -> jax.Array:
    """Its mean grey at 0, the image at 1."""
    return blend(mean_grey(image), image, factor)


def mean_grey(image: jax.Array) -> jax.Array:
    return jnp.floor(luma(image).mean() + 0.5)


def color(image: jax.Array, factor: Number) -> jax.Array:
    """Its greys at 0, the image at 1; a grey image stays as it is."""
    return image if image.shape[-1] == 1 else blend(luma(image), image, factor)


def sharpness(image: jax.Array, factor: Number) -> jax.Array:
    """Smoothed at 0, the image at 1; the outermost pixels stay."""
    rows = image[:-2] + image[1:-1] + image[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    smooth = jnp.floor((around + 4 * image[1:-1, 1:-1]) / 13 + 0.5)
    return blend(image.at[1:-1, 1:-1].set(smooth), image, factor)
