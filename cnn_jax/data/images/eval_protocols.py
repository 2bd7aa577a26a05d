"""How the papers read a net's answer off an image: the views that a protocol takes of it.

A view is a square uint8 crop [S, S, C]; the net's class probabilities are averaged over all views
and their mirror images. Sizes are in pixels; `size` is the net's input.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.images.resize import Image, centre_crop, convert_channels, resize, resize_shorter
from cnn_jax.data.transform_spec import TransformSpec, parse_spec
from cnn_jax.errors import UserError

Views = list[UInt8[np.ndarray, "_k _s _s _c"]]  # S differs between them


def corners_and_centre(image: Image, size: int) -> list[UInt8[np.ndarray, "{size} {size} _c"]]:
    """Five crops of an image that is no smaller."""
    bottom, right = image.shape[0] - size, image.shape[1] - size
    starts = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [image[top : top + size, left : left + size] for top, left in starts]


def ten_crop(image: Image, size: int, side: int = 256) -> Views:
    """Corners and centre of the middle square of `side` (Krizhevsky et al. 2012, sec. 4.1)."""
    square = centre_crop(resize_shorter(image, side), side)
    return [np.stack(corners_and_centre(square, size))]


def dense(image: Image, size: int, side: int = 384) -> Views:
    """The middle square of `side`, over which the net slides (Simonyan & Zisserman, sec. 3.2).

    The paper takes the whole image, of any shape; here it is cut square, to be one size.
    """
    del size
    return [centre_crop(resize_shorter(image, side), side)[None]]


def multi_scale(image: Image, size: int, *sides: int) -> Views:
    """`dense` at several scales.

    Simonyan & Zisserman 2014, sec. 4.2: 256, 384, 512; He et al. 2015, sec. 3.4: 224, 256, 384,
    480, 640.
    """
    return [view for side in sides for view in dense(image, size, side)]


def crops_144(image: Image, size: int, smallest: int = 256, step: int = 32) -> Views:
    """GoogLeNet's 4 scales x 3 squares x 6 crops x 2 mirrors (Szegedy et al. 2014, sec. 7).

    The shorter side at 256, 288, 320, 352; the left, middle and right square (top, middle, bottom
    of an upright image); of each the corners, the centre, and the square itself resized.
    """
    views = []
    for side in range(smallest, smallest + 4 * step, step):
        scaled = resize_shorter(image, side)
        spare = max(scaled.shape[:2]) - side
        for start in (0, spare // 2, spare):
            wide = scaled.shape[1] >= scaled.shape[0]
            cut = (slice(None), slice(start, start + side))
            square = scaled[cut if wide else cut[::-1]]
            views += [*corners_and_centre(square, size), resize(square, size, size)]
    return [np.stack(views)]


def shifts(image: Image, size: int, pixels: int = 1) -> Views:
    """The middle square, twice, and moved up and left, down and right (Jordan 2024, sec. 3.5).

    What comes in is the reflection. The paper weights the six answers so, but averages logits.
    """
    square = centre_crop(resize_shorter(image, size), size)
    padded = np.pad(square, [(pixels, pixels), (pixels, pixels), (0, 0)], "reflect")
    moved = [padded[start:, start:][:size, :size] for start in (0, 2 * pixels)]
    return [np.stack([square, square, *moved])]


PROTOCOLS: dict[str, Callable[..., Views]] = {
    "ten_crop": ten_crop,
    "dense": dense,
    "multi_scale": multi_scale,
    "crops_144": crops_144,
    "shifts": shifts,
}
SINGLE = "single_crop"
# Of a net of 224 pixels; of another they grow or shrink with its input, where none are given.
SIDES = {
    "ten_crop": (256,),
    "dense": (384,),
    "multi_scale": (256, 384, 512),
    "crops_144": (256, 32),
}


@dataclasses.dataclass(frozen=True)
class EvalProtocol(TransformSpec):
    """The protocol that `config.protocol` names, for a net of input `size`; picklable."""

    size: int
    channels: int

    @classmethod
    def parse(cls, text: str, size: int, channels: int) -> EvalProtocol | None:
        """None for the single crop, which is how the data is resized anyway.

        A name without sizes has those of `SIDES`, in proportion to `size`.
        """
        spec = parse_spec("protocol", text, {SINGLE: lambda: None, **PROTOCOLS}, leading=2)
        if spec.name == SINGLE:
            return None
        if spec.name == "shifts":
            pixels = int(spec.numbers[0])
            if spec.numbers[0] != pixels or not 1 <= pixels < size:
                raise UserError(
                    f"protocol={text!r}: choose a whole number of pixels from 1 to "
                    f"{size - 1}, under data.image_size"
                )
            return cls(spec.name, {"pixels": pixels}, size, channels)
        if re.fullmatch(r"\s*\w+\s*(\(\s*\))?\s*", text):
            sides = ", ".join(str(max(1, round(side * size / 224))) for side in SIDES[spec.name])
            return cls.parse(f"{spec.name}({sides})", size, channels)
        numbers, rises = spec.numbers, sorted(spec.numbers) == [*spec.numbers]
        if numbers[0] < size or (spec.name == "multi_scale" and not rises):
            raise UserError(
                f"protocol={text!r}: {spec.name}({', '.join(spec.arguments)}) must rise, and start "
                f"no lower than data.image_size={size}"
            )
        return cls(spec.name, spec.arguments, size, channels)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.numbers))})"

    @property
    def min_side(self) -> int:
        """The side under which a photograph should not be decoded."""
        if self.name == "shifts":
            return self.size
        largest = int(max(self.numbers))
        return largest + 3 * int(self.numbers[1]) if self.name == "crops_144" else largest

    @property
    def smallest_side(self) -> int:
        """The shorter side of the image that views are first cut of."""
        return self.size if self.name == "shifts" else int(self.numbers[0])

    @property
    def slides(self) -> bool:
        """Whether the net sees more than its own input at once."""
        return self.name in ("dense", "multi_scale")

    def __call__(self, image: Image) -> Views:
        """The views of one image of any size, without their mirror images."""
        image = convert_channels(image, self.channels)
        return PROTOCOLS[self.name](image, self.size, *self.numbers)

    @property
    def views(self) -> int:
        """How many views there are, mirror images included."""
        probe = np.zeros((8, 8, self.channels or 3), np.uint8)
        return 2 * sum(len(group) for group in self(probe))
