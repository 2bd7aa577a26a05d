"""From the words of a config to transforms: `"pad_and_crop(4)"`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from cnn_jax.data.augment.array_types import Matrix, RandomKey, Shape
from cnn_jax.data.augment.transforms import TRANSFORMS
from cnn_jax.data.transform_spec import TransformSpec, parse_spec
from cnn_jax.errors import UserError

# What each argument may be, both ends included; one that is not here is any number from 0 on.
RANGES: dict[str, tuple[float, float]] = {
    "probability": (0, 1),
    "smallest_area": (0.0001, 1),
    "largest_area": (0.0001, 1),
    "narrowest": (0.01, 1),
    "degrees": (0, 180),
    "vertical_degrees": (0, 60),
    "fraction": (0, 1),
    "growth": (0, 10),
    "strength": (0, 1),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "colour": (0, 1),
    "turn": (0, 0.5),
    "alpha": (0.01, 1000),
    "mixup_alpha": (0.01, 1000),
    "cutmix_alpha": (0.01, 1000),
    "sigma": (0.3, 100),
    "smallest": (1, 100_000),
    "side": (1, 100_000),
    "fewest_bits": (1, 8),
    "lowest_threshold": (0, 256),
    "count": (1, 10),
    "magnitude": (0, 30),
}
RANGES_OF: dict[tuple[str, str], tuple[float, float]] = {
    ("shear", "degrees"): (0, 60),  # at 90 an upright line would be level
    ("elastic", "alpha"): (0, 10_000),
}
IN_ORDER = {"smallest_area": "largest_area", "smallest": "largest"}


@dataclasses.dataclass(frozen=True)
class Transform(TransformSpec):
    """A transform of the table with the numbers that a config gives it."""

    @property
    def function(self) -> Callable[..., Any]:
        return TRANSFORMS[self.name]

    @property
    def is_warp(self) -> bool:
        """Whether it samples a matrix, and does nothing else."""
        return hasattr(self.function, "sample_matrix")

    def __call__(self, *arrays: Any, **constants: Any) -> Any:
        """The transform of a key and an image, or a pair of images."""
        return self.function(*arrays, *self.typed_numbers, **constants)

    def sample_matrix(self, key: RandomKey, shape: Shape) -> Matrix:
        """That of a warp."""
        sample: Callable[..., Matrix] = getattr(self.function, "sample_matrix")  # noqa: B009
        return sample(key, shape, *self.typed_numbers)

    @property
    def typed_numbers(self) -> tuple[int | float, ...]:
        """The arguments, of which a config may write the floats without a point."""
        annotations = self.function.__annotations__
        return tuple(
            value if annotations[name] == "int" else float(value)
            for name, value in self.arguments.items()
        )


def parse(text: str) -> Transform:
    """What `"name"` or `"name(arguments)"` asks for; raises UserError where it asks for nothing."""
    spec = parse_spec("augment", text, TRANSFORMS, leading=2)
    check_ranges(str(text), spec)
    return Transform(spec.name, spec.arguments)


def check_ranges(text: str, spec: TransformSpec) -> None:
    """Raises for an argument out of its range, or two in the wrong order."""
    for key, value in spec.arguments.items():
        low, high = RANGES_OF.get((spec.name, key), RANGES.get(key, (0, math.inf)))
        if not low <= value <= high:
            raise UserError(
                f"augment={text!r}: {key}={value} is out of range: choose {low} to {high}"
            )
        above = IN_ORDER.get(key)
        if above in spec.arguments and value > spec.arguments[above]:
            raise UserError(
                f"augment={text!r}: {key}={value} is more than {above}={spec.arguments[above]}"
            )
