"""Random rectangles of a given area and shape, as masks or as places."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from cnn_jax.data.augment.array_types import Number, RandomKey, Shape

ATTEMPTS = 10


class Box(NamedTuple):
    """A rectangle in whole pixels; `fits` is False where no try lay within the image."""

    left: Int[Array, ""]
    top: Int[Array, ""]
    width: Int[Array, ""]
    height: Int[Array, ""]
    fits: Bool[Array, ""]


def sample_box(
    key: RandomKey, shape: Shape, areas: tuple[float, float], aspects: tuple[float, float]
) -> Box:
    """A uniform fraction of the area, log-uniform width / height, and any place within the image.

    The papers draw until a rectangle fits; here the first of ten that does, with no loop.
    """
    height, width = shape[:2]
    uniform = jax.random.uniform(key, (2 * ATTEMPTS + 2,))
    area = areas[0] + uniform[:ATTEMPTS] * (areas[1] - areas[0])
    low, high = np.log(aspects)
    aspect = jnp.exp(low + uniform[ATTEMPTS:-2] * (high - low))
    widths = jnp.round(jnp.sqrt(area * height * width * aspect)).astype(jnp.int32)
    heights = jnp.round(jnp.sqrt(area * height * width / aspect)).astype(jnp.int32)
    fits = (widths >= 1) & (widths <= width) & (heights >= 1) & (heights <= height)
    first = jnp.argmax(fits)
    w, h = widths[first], heights[first]
    left = jnp.floor(uniform[-2] * (width - w + 1)).astype(jnp.int32)
    top = jnp.floor(uniform[-1] * (height - h + 1)).astype(jnp.int32)
    return Box(left, top, w, h, fits[first])


def box_mask(
    shape: Shape, left: Number, top: Number, width: Number, height: Number
) -> Bool[Array, "h w 1"]:
    """True within the rectangle; parts outside the image are left away."""
    y, x = jnp.arange(shape[0])[:, None, None], jnp.arange(shape[1])[None, :, None]
    return (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
