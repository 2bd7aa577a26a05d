"""Warps: where each pixel of the new image comes from, as a matrix, and one bilinear gather.

A matrix float32 [3, 3] takes a point (x, y, 1) of the new image to one of the old. The corner of
the image is (0, 0) and the centre of its first pixel (0.5, 0.5), as in Pillow.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.data.augment.array_types import Image, Matrix, Number, Shape


def matrix(a: Number, b: Number, c: Number, d: Number, e: Number, f: Number) -> Matrix:
    """The matrix of x' = a x + b y + c, y' = d x + e y + f, float32 [3, 3]."""
    rows = jnp.stack([jnp.float32(value) for value in (a, b, c, d, e, f)]).reshape(2, 3)
    return jnp.concatenate([rows, jnp.array([[0.0, 0.0, 1.0]], jnp.float32)])


def translation(right: Number, down: Number) -> Matrix:
    """The content moves by so many pixels."""
    return matrix(1, 0, -right, 0, 1, -down)


def rotation(degrees: Number) -> Matrix:
    """The content turns counter-clockwise about the origin."""
    angle = jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return matrix(cos, -sin, 0, sin, cos, 0)


def scaling(across: Number, down: Number) -> Matrix:
    """The content grows by these factors, from the origin."""
    return matrix(1 / across, 0, 0, 0, 1 / down, 0)


def shear(horizontally: Number, vertically: Number) -> Matrix:
    """x' = x + horizontally * y, y' = y + vertically * x."""
    return matrix(1, horizontally, 0, vertically, 1, 0)


def window(left: Number, top: Number, width: Number, height: Number, shape: Shape) -> Matrix:
    """The rectangle of the old image that fills the new one; all in pixels."""
    return matrix(width / shape[1], 0, left, 0, height / shape[0], top)


def product(matrices: Iterable[Matrix]) -> Matrix:
    """One warp that does the work of several, the first one first."""
    # Written out: a matrix product may be done in low precision, or by batch size.
    multiply = lambda a, b: (a[:, :, None] * b[None]).sum(1)  # noqa: E731
    return functools.reduce(multiply, matrices)


def about_centre(matrix: Matrix, shape: Shape) -> Matrix:
    """The same warp with its origin in the middle of the image."""
    x, y = shape[1] / 2, shape[0] / 2
    return product([translation(-x, -y), matrix, translation(x, y)])


def pixel_centres(shape: Shape) -> tuple[Float[Array, "h w"], Float[Array, "h w"]]:
    """(x, y) of every pixel's centre."""
    x = jnp.arange(shape[1], dtype=jnp.float32) + 0.5
    y = jnp.arange(shape[0], dtype=jnp.float32) + 0.5
    return jnp.broadcast_to(x, shape[:2]), jnp.broadcast_to(y[:, None], shape[:2])


def warp(image: Image, matrix: Matrix, fill: Number = 0.0) -> Image:
    """The image through a matrix; what comes from outside the image is `fill`.

    dm-pix's affine_transform also interpolates over the channels: eight corners, not four.
    """
    x, y = pixel_centres(image.shape)
    m = matrix
    return bilinear_sample(
        image,
        m[0, 0] * x + m[0, 1] * y + m[0, 2],
        m[1, 0] * x + m[1, 1] * y + m[1, 2],
        fill,
    )


def bilinear_sample(
    image: Float[Array, "_h _w c"], x: Float[Array, "h w"], y: Float[Array, "h w"], fill: Number
) -> Image:
    """The image at the points x, y, bilinear; half a pixel at the rim is as the rim."""
    height, width, channels = image.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x - 0.5, y - 0.5
    left, top = jnp.floor(x), jnp.floor(y)
    dx, dy = (x - left)[..., None], (y - top)[..., None]
    columns = [jnp.clip(left + i, 0, width - 1).astype(jnp.int32) for i in (0, 1)]
    rows = [jnp.clip(top + i, 0, height - 1).astype(jnp.int32) * width for i in (0, 1)]
    pixels = image.reshape(-1, channels)
    corner = lambda i, j: pixels.at[rows[i] + columns[j]].get(mode="promise_in_bounds")  # noqa: E731
    upper = corner(0, 0) * (1 - dx) + corner(0, 1) * dx
    lower = corner(1, 0) * (1 - dx) + corner(1, 1) * dx
    return jnp.where(inside[..., None], upper * (1 - dy) + lower * dy, fill)
