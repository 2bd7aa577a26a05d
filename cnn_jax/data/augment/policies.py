"""Policies: a few operations of a list, chosen at random for each example.

Every operation of the list is computed for every example and one is kept: mapped over a batch, a
switch would do the same. So that this stays cheap, an operation that looks at one grey level at a
time computes a table of the 256, the geometric operations only multiply matrices, and one warp at
the end does them all.

# Deviation: colours are changed before pixels move, whatever was drawn first. Most operations take
# each pixel by itself, where the order matters at the filled rim alone.
# Deviation: the warp is bilinear; the authors' is nearest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from cnn_jax.data.augment import pillow_ops, warp
from cnn_jax.data.augment.array_types import Image, Matrix, RandomKey, Shape
from cnn_jax.data.augment.policy_tables import CIFAR, IMAGENET, SubPolicy

FILL = 128.0  # as the authors fill for CIFAR


@dataclasses.dataclass(frozen=True)
class Strength:
    """What an operation does at full magnitude."""

    shear: float = 0.3  # pixels across for each down
    translate: float = 150 / 331  # of the side
    rotate: float = 30.0  # degrees
    factors: tuple[float, float] = (0.1, 1.9)  # of brightness, color, contrast, sharpness; 0 to 1
    fewest_bits: int = 4


LEARNED = Strength()  # Cubuk et al. 2018, appendix, for images of 331 pixels
SMALL = Strength(translate=10 / 32)  # their code for CIFAR: 10 pixels
WIDE = Strength(shear=0.99, rotate=135.0, factors=(0.01, 2.0), fewest_bits=2)

Magnitude = Float[Array, ""]  # from 0 to 1, and of RandAugment beyond
MatrixOf = Callable[[Magnitude, Shape, Strength], Matrix]
TableOf = Callable[[Image, Magnitude, Strength], Array]  # [256, 1 or C]
ImageOf = Callable[[Image, Magnitude, Strength], Image]

# Shear and turn as the authors' code has them: about the corner, and about the centre.
MATRICES: dict[str, MatrixOf] = {
    "shear_x": lambda m, shape, full: warp.shear(m * full.shear, 0),
    "shear_y": lambda m, shape, full: warp.shear(0, m * full.shear),
    "translate_x": lambda m, shape, full: warp.translation(m * full.translate * shape[1], 0),
    "translate_y": lambda m, shape, full: warp.translation(0, m * full.translate * shape[0]),
    "rotate": lambda m, shape, full: warp.about_centre(warp.rotation(m * full.rotate), shape),
}


def factor(magnitude: Magnitude, full: Strength) -> Magnitude:
    low, high = full.factors
    return low + magnitude * (high - low)


def bits_left(magnitude: Magnitude, full: Strength) -> Magnitude:
    """8 at magnitude 0; at least one where a magnitude is beyond 1."""
    return jnp.maximum(8 - jnp.round(magnitude * (8 - full.fewest_bits)), 1)


# What each level becomes, [256, 1 or C]: cheaper to compute for all operations than the pixels.
TABLES: dict[str, TableOf] = {
    "autocontrast": lambda image, m, full: pillow_ops.stretch_range(
        pillow_ops.RAMP, image.min((0, 1)), image.max((0, 1))
    ),
    "equalize": lambda image, m, full: pillow_ops.equalization_table(image),
    "invert": lambda image, m, full: pillow_ops.invert(pillow_ops.RAMP),
    "solarize": lambda image, m, full: pillow_ops.solarize(pillow_ops.RAMP, 256 * (1 - m)),
    "posterize": lambda image, m, full: pillow_ops.posterize(pillow_ops.RAMP, bits_left(m, full)),
    "brightness": lambda image, m, full: pillow_ops.brightness(pillow_ops.RAMP, factor(m, full)),
    "contrast": lambda image, m, full: pillow_ops.blend(
        pillow_ops.mean_grey(image), pillow_ops.RAMP, factor(m, full)
    ),
}

# Those that need more of a pixel than its level.
COLOURS: dict[str, ImageOf] = {
    "color": lambda image, m, full: pillow_ops.color(image, factor(m, full)),
    "sharpness": lambda image, m, full: pillow_ops.sharpness(image, factor(m, full)),
}

# RandAugment's and TrivialAugment's list; "identity" is in no dictionary, and does nothing.
FOURTEEN = (
    "identity autocontrast equalize rotate solarize color posterize contrast brightness sharpness "
    "shear_x shear_y translate_x translate_y"
).split()


def apply(
    image: Image,
    names: Sequence[str],
    chosen: Int[Array, " n"],
    magnitudes: Float[Array, " n"],
    signs: Float[Array, " n"],
    full: Strength,
) -> Image:
    """The operations `names[chosen[0]]`, `names[chosen[1]]`, ... one after another.

    Magnitudes go from 0 to 1; a sign turns a geometric operation around.
    """
    image, matrices = pillow_ops.round_levels(image), []
    for slot in range(len(chosen)):
        is_chosen = {name: chosen[slot] == number for number, name in enumerate(names)}
        tables, colours = {}, {}
        matrix = warp.translation(0, 0)
        for name, chosen_here in is_chosen.items():
            if name in MATRICES:
                candidate = MATRICES[name](signs[slot] * magnitudes[slot], image.shape, full)
                matrix = jnp.where(chosen_here, candidate, matrix)
            elif name in TABLES:
                tables[name] = TABLES[name](image, magnitudes[slot], full)
            elif name in COLOURS:
                colours[name] = COLOURS[name](image, magnitudes[slot], full)
        table = select(is_chosen, tables, jnp.broadcast_to(pillow_ops.RAMP, (256, image.shape[-1])))
        image = select(is_chosen, colours, pillow_ops.look_up(table, image))
        matrices.append(matrix)
    return warp.warp(image, warp.product(matrices), FILL)


def select(
    is_chosen: dict[str, Bool[Array, ""]], choices: dict[str, Array], default: Float[Array, "*n"]
) -> Float[Array, "*n"]:
    """The choice whose name is chosen, or the default.

    A sum over all with one mask that is set: a chain of `where` would be computed anew for every
    pixel that a later operation reads.
    """
    if not choices:
        return default
    masks = jnp.stack([is_chosen[name] for name in choices])
    masks = jnp.append(masks, ~masks.any()).reshape(-1, *[1] * default.ndim)
    values = [jnp.broadcast_to(choice, default.shape) for choice in choices.values()]
    return jnp.where(masks, jnp.stack([*values, default]), 0).sum(0)


def rand_augment(key: RandomKey, image: Image, count: int = 2, magnitude: float = 9) -> Image:
    """`count` of fourteen operations, each at `magnitude` of 10 (Cubuk et al. 2019, sec. 3).

    More than 10 goes beyond the range, as in the paper's searches up to 30. In torchvision 9 means
    9 of 30, and factors move away from 1 both ways; here, as in the paper, 0.1 + 0.18 * magnitude.
    """
    choice_key, sign_key = jax.random.split(key)
    chosen = jax.random.randint(choice_key, (count,), 0, len(FOURTEEN))
    magnitudes = jnp.full(count, magnitude / 10, jnp.float32)
    return apply(image, FOURTEEN, chosen, magnitudes, random_signs(sign_key, count), LEARNED)


def trivial_augment(key: RandomKey, image: Image) -> Image:
    """One of fourteen operations at 0 to 30 thirtieths (Mueller and Hutter 2021, wide space)."""
    choice_key, magnitude_key, sign_key = jax.random.split(key, 3)
    chosen = jax.random.randint(choice_key, (1,), 0, len(FOURTEEN))
    magnitudes = jax.random.randint(magnitude_key, (1,), 0, 31) / 30
    full = dataclasses.replace(WIDE, translate=32 / image.shape[1])  # 32 pixels at any size
    return apply(image, FOURTEEN, chosen, magnitudes, random_signs(sign_key, 1), full)


def auto_augment_cifar(key: RandomKey, image: Image) -> Image:
    """One of 25 pairs learned on CIFAR-10 (Cubuk et al. 2018, appendix)."""
    return auto_augment(key, image, CIFAR, SMALL)


def auto_augment_imagenet(key: RandomKey, image: Image) -> Image:
    """One of 25 pairs learned on ImageNet (Cubuk et al. 2018, appendix)."""
    return auto_augment(key, image, IMAGENET, LEARNED)


def auto_augment(key: RandomKey, image: Image, table: Sequence[SubPolicy], full: Strength) -> Image:
    """One pair of the table; each operation of it with its own probability and magnitude of 9.

    Solarize and posterize grow stronger with the magnitude; the authors' programs differ there.
    """
    names = ["identity", *sorted({name for pair in table for name, _, _ in pair})]
    numbers = jnp.array([[names.index(name) for name, _, _ in pair] for pair in table])
    probabilities = jnp.array(
        [[probability for _, probability, _ in pair] for pair in table], jnp.float32
    )
    magnitudes = jnp.array([[magnitude for _, _, magnitude in pair] for pair in table], jnp.float32)
    pair_key, apply_key, sign_key = jax.random.split(key, 3)
    pair = jax.random.randint(pair_key, (), 0, len(table))
    applied = jax.random.uniform(apply_key, (2,)) < probabilities[pair]
    chosen = jnp.where(applied, numbers[pair], 0)
    return apply(image, names, chosen, magnitudes[pair] / 9, random_signs(sign_key, 2), full)


def random_signs(key: RandomKey, count: int) -> Float[Array, " {count}"]:
    """-1 or 1, each as likely."""
    return jax.random.rademacher(key, (count,), jnp.float32)
