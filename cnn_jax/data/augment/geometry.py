"""Transforms that move pixels. Those marked `affine` sample a matrix; `warp` applies it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from cnn_jax.data.augment import boxes, warp
from cnn_jax.data.augment.array_types import Image, Matrix, RandomKey, Shape
from cnn_jax.errors import UserError


def affine(sample_matrix: Callable[..., Matrix]) -> Callable[..., Image]:
    """(key, shape, *numbers) -> matrix becomes (key, image, *numbers) -> image.

    The sampling itself stays as `.sample_matrix`, so that warps in a row are done as one.
    """

    @functools.wraps(sample_matrix)
    def transform(key: RandomKey, image: Image, *numbers: int | float) -> Image:
        return warp.warp(image, sample_matrix(key, image.shape, *numbers))

    transform.sample_matrix = sample_matrix  # pyright: ignore[reportAttributeAccessIssue]
    return transform


def horizontal_flip(key: RandomKey, image: Image, probability: float = 0.5) -> Image:
    """Mirrors left and right with the given probability."""
    return jnp.where(jax.random.bernoulli(key, probability), image[:, ::-1], image)


def alternating_flip(key: RandomKey, image: Image, *, mirrored: Bool[Array, ""] | bool) -> Image:
    """Mirrors left and right every other epoch; which ones is drawn once a run and example.

    Jordan 2024, sec. 3.6: two epochs show both sides of every example. `mirrored` comes from the
    run's seed, the example's id and its epoch, not from the key of the step.
    """
    del key
    return jnp.where(mirrored, image[:, ::-1], image)


def vertical_flip(key: RandomKey, image: Image, probability: float = 0.5) -> Image:
    """Mirrors top and bottom with the given probability."""
    return jnp.where(jax.random.bernoulli(key, probability), image[::-1], image)


def pad_and_crop(key: RandomKey, image: Image, pad: int = 4) -> Image:
    """Pads `pad` zeros on each side and crops the old size at random (He et al. 2015, sec. 4.2)."""
    padded = jnp.pad(image, [(pad, pad), (pad, pad), (0, 0)])
    corner = jax.random.randint(key, (2,), 0, 2 * pad + 1)
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)


def reflect_and_crop(key: RandomKey, image: Image, pad: int = 2) -> Image:
    """Pads each side with `pad` pixels of the mirror image, the rim itself once, then crops so.

    The random translation of Jordan 2024, sec. 3.1.
    """
    padded = jnp.pad(image, [(pad, pad), (pad, pad), (0, 0)], "reflect")
    corner = jax.random.randint(key, (2,), 0, 2 * pad + 1)
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], 0), image.shape)


def rotate_quarter(key: RandomKey, image: Image) -> Image:
    """Turns by 0, 90, 180 or 270 degrees, each as likely."""
    if image.shape[0] != image.shape[1]:
        raise UserError(f"augment='rotate_quarter' needs square images, not {image.shape[:2]}")
    turns = [jnp.rot90(image, count) for count in range(4)]
    return jax.lax.select_n(jax.random.randint(key, (), 0, 4), *turns)


@affine
def random_resized_crop(
    key: RandomKey, shape: Shape, smallest_area: float = 0.08, largest_area: float = 1.0
) -> Matrix:
    """A rectangle of 8 to 100 % of the area, 3:4 to 4:3, fills the image (Szegedy 2014, sec. 6).

    Of ten draws the first that fits counts; if none does, the whole image. The image is already at
    the net's size, so that a crop is enlarged: bilinear, and antialiasing has nothing to do.
    """
    box = boxes.sample_box(key, shape, (smallest_area, largest_area), (3 / 4, 4 / 3))
    whole = jnp.array([0, 0, shape[1], shape[0]])
    left, top, width, height = jnp.where(box.fits, jnp.stack(box[:4]), whole)
    return warp.window(left, top, width, height, shape)


@affine
def scale_jitter(key: RandomKey, shape: Shape, smallest: int = 256, largest: int = 512) -> Matrix:
    """Rescales the shorter side to S, uniform in a range, and crops the old size (VGG, sec. 3.1).

    The image is already at the net's size, so that it is enlarged from there.
    """
    side = min(shape[:2])
    if not side <= smallest <= largest:
        raise UserError(
            f"augment='scale_jitter({smallest}, {largest})': choose {side} (the image) <= smallest "
            f"<= largest"
        )
    size_key, place_key = jax.random.split(key)
    return part(place_key, shape, jax.random.randint(size_key, (), smallest, largest + 1) / side)


@affine
def random_crop(key: RandomKey, shape: Shape, side: int = 256) -> Matrix:
    """Rescales the shorter side to `side` and crops the old size (AlexNet, sec. 4.1).

    The image is already at the net's size, so that it is enlarged from there.
    """
    if side < min(shape[:2]):
        raise UserError(
            f"augment='random_crop({side})': choose {min(shape[:2])} (the image) <= side"
        )
    return part(key, shape, jnp.float32(side / min(shape[:2])))


def part(key: RandomKey, shape: Shape, factor: Float[Array, ""]) -> Matrix:
    """A random window, of the image's sides divided by `factor`, fills the image."""
    height, width = shape[0] / factor, shape[1] / factor
    left, top = jax.random.uniform(key, (2,)) * jnp.stack([shape[1] - width, shape[0] - height])
    return warp.window(left, top, width, height, shape)


@affine
def rotate(key: RandomKey, shape: Shape, degrees: float = 15.0) -> Matrix:
    """Turns about the centre by up to `degrees`, either way."""
    return warp.about_centre(warp.rotation(symmetric_uniform(key, degrees)), shape)


@affine
def translate(key: RandomKey, shape: Shape, fraction: float = 0.1) -> Matrix:
    """Moves by up to `fraction` of each side, either way."""
    right, down = symmetric_uniform(key, fraction, (2,))
    return warp.translation(right * shape[1], down * shape[0])


@affine
def scale(key: RandomKey, shape: Shape, growth: float = 0.1) -> Matrix:
    """Grows or shrinks about the centre by up to 1 + `growth`, both equally likely."""
    factor = jnp.exp(symmetric_uniform(key, jnp.log1p(growth)))
    return warp.about_centre(warp.scaling(factor, factor), shape)


@affine
def stretch(key: RandomKey, shape: Shape, growth: float = 0.1) -> Matrix:
    """Wider and lower, or narrower and higher: "squeezing" (LeCun et al. 1998, sec. III-A)."""
    factor = jnp.exp(symmetric_uniform(key, jnp.log1p(growth)))
    return warp.about_centre(warp.scaling(factor, 1 / factor), shape)


@affine
def shear(
    key: RandomKey, shape: Shape, degrees: float = 15.0, vertical_degrees: float = 0.0
) -> Matrix:
    """Slants upright lines by up to `degrees`, and level lines by up to `vertical_degrees`."""
    most = jnp.array([degrees, vertical_degrees], jnp.float32)
    slants = jnp.tan(jnp.deg2rad(symmetric_uniform(key, most, (2,))))
    return warp.about_centre(warp.shear(slants[0], slants[1]), shape)


def symmetric_uniform(
    key: RandomKey, bound: Float[Array, "*_n"] | float, shape: tuple[int, ...] = ()
) -> Float[Array, "*n"]:
    """Uniform between -bound and bound."""
    return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0) * bound
