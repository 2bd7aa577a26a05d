"""Pillow's operations on whole grey levels, with its own rounding.

Images are float32 [H, W, C] holding whole numbers 0 to 255, C = 1 or 3; see `round_levels`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cnn_jax.data.augment.array_types import Image, Levels, Number, Table

RAMP = np.arange(256, dtype=np.float32)[:, None]  # every level, for any number of channels
TINY = 1e-4  # quotients of whole numbers: none is so near below a whole number


def round_levels(image: Image) -> Image:
    """The nearest whole grey levels within 0 to 255."""
    return jnp.floor(jnp.clip(image, 0.0, 255.0) + 0.5)


def invert(levels: Levels) -> Float[Array, "*n c"]:
    return jnp.subtract(255, levels)


def solarize(levels: Levels, threshold: Number) -> Float[Array, "*n c"]:
    """Inverts the levels from `threshold` on."""
    return jnp.where(levels < threshold, levels, 255 - levels)


def posterize(levels: Levels, bits: Number) -> Float[Array, "*n c"]:
    """Keeps the highest `bits` of the eight."""
    step = jnp.left_shift(1, 8 - jnp.asarray(bits, jnp.int32)).astype(jnp.float32)
    return jnp.floor(levels / step) * step


def stretch_range(
    levels: Float[Array, "*n _c"] | Float[np.ndarray, "*n _c"],
    low: Float[Array, " c"],
    high: Float[Array, " c"],
) -> Float[Array, "*n c"]:
    """`low` becomes 0 and `high` 255."""
    low, high = (jax.lax.broadcast_to_rank(bound, levels.ndim) for bound in (low, high))
    stretched = jnp.floor((levels - low) * 255 / jnp.maximum(high - low, 1) + TINY)
    return jnp.where(high > low, jnp.clip(stretched, 0.0, 255.0), levels)


def autocontrast(image: Image) -> Image:
    """Each channel's darkest level becomes 0 and its brightest 255."""
    return stretch_range(image, image.min((0, 1)), image.max((0, 1)))


def equalization_table(image: Image) -> Table:
    """What each level of each channel becomes, so that the histograms are flat."""
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


def equalize(image: Image) -> Image:
    """Makes the histogram of each channel flat."""
    return look_up(equalization_table(image), image)


def look_up(table: Table, image: Image) -> Image:
    """The image with every level replaced by what the table has for it."""
    channels = image.shape[-1]
    cells = image.astype(jnp.int32) * channels + jnp.arange(channels)[None, None]
    return table.reshape(-1).at[cells].get(mode="promise_in_bounds")


def luma(image: Image) -> Float[Array, "h w 1"]:
    """The luma; a grey image is its own."""
    if image.shape[-1] == 1:
        return image
    weights = jnp.array([[[19595.0, 38470.0, 7471.0]]])
    return jnp.floor(((image * weights).sum(-1, keepdims=True) + 32768) / 65536)


def blend(
    start: Float[Array, "*_n _c"] | Number, levels: Levels, factor: Number
) -> Float[Array, "*n c"]:
    """From `start` (factor 0) over the levels (1) and beyond, cut to whole ones."""
    return jnp.floor(jnp.clip(start + factor * (levels - start), 0.0, 255.0))


def brightness(levels: Levels, factor: Number) -> Float[Array, "*n c"]:
    """Black at 0, the levels at 1."""
    return blend(0.0, levels, factor)


def contrast(image: Image, factor: Number) -> Image:
    """Its mean grey at 0, the image at 1."""
    return blend(mean_grey(image), image, factor)


def mean_grey(image: Image) -> Float[Array, ""]:
    return jnp.floor(luma(image).mean() + 0.5)


def color(image: Image, factor: Number) -> Image:
    """Its greys at 0, the image at 1; a grey image stays as it is."""
    return image if image.shape[-1] == 1 else blend(luma(image), image, factor)


def sharpness(image: Image, factor: Number) -> Image:
    """Smoothed at 0, the image at 1; the outermost pixels stay."""
    rows = image[:-2] + image[1:-1] + image[2:]
    around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    smooth = jnp.floor((around + 4 * image[1:-1, 1:-1]) / 13 + 0.5)
    return blend(image.at[1:-1, 1:-1].set(smooth), image, factor)
