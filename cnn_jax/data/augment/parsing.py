"""From the words of a config to calls of transforms: `"pad_and_crop(4)"`."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any

from cnn_jax.data.augment.transforms import TRANSFORMS
from cnn_jax.data.transform_spec import parse_spec
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
    "turn": (0, 0.5),
    "alpha": (0.01, 1000),
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
class TransformSpec:
    """A transform with its arguments by name, defaults included."""

    name: str
    arguments: dict[str, float]

    @property
    def function(self) -> Callable:
        return TRANSFORMS[self.name]

    @property
    def sample_matrix(self) -> Callable | None:
        """(key, shape, *numbers) -> matrix, if that is all that the transform is."""
        return getattr(self.function, "sample_matrix", None)

    def __call__(self, *given: Any, **constants: Any) -> Any:
        """The transform of a key and an image, or a pair of images."""
        return self.function(*given, *self.arguments.values(), **constants)

    def matrix(self, key: Any, shape: tuple) -> Any:
        return self.sample_matrix(key, shape, *self.arguments.values())


def parse(call: str) -> TransformSpec:
    """What `"name"` or `"name(arguments)"` asks for; raises UserError where it asks for nothing."""
    name, values = parse_spec("augment", call, TRANSFORMS, given=2)
    names = [*inspect.signature(TRANSFORMS[name]).parameters][2:]
    arguments = dict(zip(names, values, strict=False))
    check(str(call), name, arguments)
    return TransformSpec(name, arguments)


def check(call: str, name: str, arguments: dict[str, float]) -> None:
    """Raises for an argument out of its range, or two in the wrong order."""
    for key, value in arguments.items():
        low, high = RANGES_OF.get((name, key), RANGES.get(key, (0, math.inf)))
        if not low <= value <= high:
            raise UserError(
                f"augment={call!r}: {key}={value} is out of range: choose {low} to {high}"
            )
        above = IN_ORDER.get(key)
        if above in arguments and value > arguments[above]:
            raise UserError(
                f"augment={call!r}: {key}={value} is more than {above}={arguments[above]}"
            )
