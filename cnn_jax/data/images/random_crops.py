"""Crops of photographs while they are decoded: the one augmentation on the host.

Photographs differ in size, so that their random crops cannot be cut from a batch on the device. A
draw comes from (seed, step, example id) and nothing else, as on the device.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.images.resize import Image, centre_crop, resize, resize_shorter
from cnn_jax.data.transform_spec import TransformSpec, parse_spec
from cnn_jax.errors import UserError

Crop = Callable[[np.random.RandomState, np.ndarray, int], np.ndarray]


def example_rng(seed: int, step: int, example: int) -> np.random.RandomState:
    """The random numbers of one example in one step."""
    sequence = np.random.SeedSequence((seed % 2**64, step, example))
    return np.random.RandomState(np.random.Philox(sequence))


def inception_box(
    random: np.random.RandomState, height: int, width: int, least: float, most: float
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a part of the area and a ratio of sides in [3/4, 4/3].

    Szegedy et al. 2014, sec. 6: area uniform between `least` and `most`. The ratio is uniform in
    its logarithm; after ten draws that do not fit, the largest box in the middle that does.
    """
    for _ in range(10):
        area = height * width * random.uniform(least, most)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= height and 0 < w <= width:
            return random.randint(height - h + 1), random.randint(width - w + 1), h, w
    h, w = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def random_resized_crop(
    random: np.random.RandomState,
    image: Image,
    size: int,
    smallest_area: float = 0.08,
    largest_area: float = 1.0,
) -> UInt8[np.ndarray, "{size} {size} c"]:
    """A part of 8 to 100 % of the area, resized to the square (Szegedy et al. 2014, sec. 6)."""
    full_height, full_width = image.shape[:2]
    box = inception_box(random, full_height, full_width, smallest_area, largest_area)
    top, left, height, width = box
    return resize(np.ascontiguousarray(image[top : top + height, left : left + width]), size, size)


def scale_jitter(
    random: np.random.RandomState,
    image: Image,
    size: int,
    smallest: int = 256,
    largest: int = 512,
) -> UInt8[np.ndarray, "{size} {size} c"]:
    """The shorter side to a random length, then a random square of `size`.

    Simonyan & Zisserman 2014, sec. 3.1: 256 to 512, or always 256; He et al. 2015, sec. 3.4: 256
    to 480.
    """
    return window(random, resize_shorter(image, random.randint(smallest, largest + 1)), size)


def random_crop(
    random: np.random.RandomState, image: Image, size: int, side: int = 256
) -> UInt8[np.ndarray, "{size} {size} c"]:
    """The middle square of `side`, and in it a random one of `size` (Krizhevsky 2012, sec. 4.1).

    Of photographs that are not square less is seen than by `scale_jitter(256, 256)`.
    """
    return window(random, centre_crop(resize_shorter(image, side), side), size)


def window(
    random: np.random.RandomState, image: Image, size: int
) -> UInt8[np.ndarray, "{size} {size} c"]:
    """A random square of `size` out of an image that is no smaller."""
    top, left = (random.randint(length - size + 1) for length in image.shape[:2])
    return image[top : top + size, left : left + size]


CROPS: dict[str, Crop] = {
    "random_crop": random_crop,
    "random_resized_crop": random_resized_crop,
    "scale_jitter": scale_jitter,
}


@dataclasses.dataclass(frozen=True)
class TrainCrop(TransformSpec):
    """The crop that `data.train_crop` names, with its arguments; picklable."""

    @classmethod
    def parse(cls, text: str, size: int) -> TrainCrop:
        """`"scale_jitter(256, 480)"`; raises `UserError`."""
        spec = parse_spec("data.train_crop", text, CROPS, leading=3)
        is_area, numbers = spec.name == "random_resized_crop", spec.numbers
        rises = list(numbers) == sorted(numbers)
        if not (rises and (0 < numbers[0] <= numbers[-1] <= 1 if is_area else size <= numbers[0])):
            raise UserError(
                f"data.train_crop={text!r}: wants "
                + ("0 < " if is_area else f"data.image_size={size} <= ")
                + " <= ".join(spec.arguments)
                + (" <= 1" if is_area else "")
            )
        return cls(spec.name, spec.arguments)

    @property
    def min_side(self) -> int:
        """The side under which an image should not be decoded; 0: as it is."""
        return 0 if self.name == "random_resized_crop" else int(self.numbers[0])

    def __call__(
        self, random: np.random.RandomState, image: Image, size: int
    ) -> UInt8[np.ndarray, "{size} {size} c"]:
        """The crop of one photograph, at the size of the net."""
        return CROPS[self.name](random, image, size, *self.numbers)
