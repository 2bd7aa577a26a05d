"""A source whose images are one array in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.dataset import Labels, Task
from cnn_jax.data.identity import composed
from cnn_jax.errors import UserError


@dataclasses.dataclass(frozen=True, repr=False)
class ArraySource:
    """Images of one size, decoded; an `ImageSource`."""

    task: Task
    images: UInt8[np.ndarray, "n h w c"]
    labels: Labels
    splits: Mapping[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"<{len(self):,} arrays {self.images.shape[1:]} of {self.task}>"

    def name(self, number: int) -> str:
        return f"example {number}"


Pair = tuple[np.ndarray, np.ndarray]
MOST_CLASSES = 100_000


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str] = (),
    validation: Pair | None = None,
    test: Pair | None = None,
) -> ArraySource:
    """A source of uint8 images [N, H, W] or [N, H, W, C] with labels [N], numbers from 0.

    `classes` are their names, by default the numbers. `validation` and `test` are such pairs too;
    without either the examples are divided as the config says. Raises `UserError`.
    """
    given = {"train": (images, labels), "validation": validation, "test": test}
    pairs = {
        name: as_pair(pair, "" if name == "train" else f"{name}: ")
        for name, pair in given.items()
        if pair is not None
    }
    shapes = {name: pair[0].shape[1:] for name, pair in pairs.items()}
    if len({*shapes.values()}) > 1:
        raise UserError(f"from_arrays: images of one size are wanted, not {shapes}")
    if isinstance(classes, str) or not isinstance(classes, Sequence | np.ndarray):
        raise UserError(f"from_arrays: classes={classes!r}: a list of names is wanted")
    joined = np.concatenate([pair[1] for pair in pairs.values()])
    names = tuple(map(str, classes)) or tuple(map(str, range(int(joined.max()) + 1)))
    if joined.min() < 0 or joined.max() >= len(names) or len({*map(composed, names)}) != len(names):
        raise UserError(
            f"from_arrays: labels from {joined.min()} to {joined.max()} do not fit "
            f"{len(names)} classes; number them from 0, and name each once"
        )
    ends = np.cumsum([0, *(len(pair[1]) for pair in pairs.values())])
    parts = {name: np.arange(*ends[i : i + 2]) for i, name in enumerate(pairs)}
    return ArraySource(
        Task("classification", names),
        np.concatenate([pair[0] for pair in pairs.values()]),
        joined,
        parts if len(parts) > 1 else None,
    )


def as_pair(pair: Pair, where: str) -> Pair:
    """[N, H, W, C] uint8 and int32 [N]; raises `UserError` for other arrays."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise UserError(f"from_arrays: {where}a pair (images, labels) is wanted")
    images, labels = (as_array(values, where) for values in pair)
    if images.ndim == 3:
        images = images[..., None]
    is_image = images.dtype == np.uint8 and images.ndim == 4 and images.shape[-1] in (1, 3)
    if not is_image or 0 in images.shape[1:]:
        raise UserError(
            f"from_arrays: {where}images {images.dtype}{list(images.shape)}: uint8 [N, H, W], or "
            "[N, H, W, C] with 1 or 3 channels, is wanted"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),) or not len(images):
        raise UserError(
            f"from_arrays: {where}labels {labels.dtype}{list(labels.shape)} of {len(images)} "
            "images: as many whole numbers are wanted"
        )
    if labels.max() >= MOST_CLASSES:
        raise UserError(
            f"from_arrays: {where}a label is {labels.max()}: number the classes from 0, fewer than "
            f"{MOST_CLASSES:,}"
        )
    return images, labels.astype(np.int32)


def as_array(values: Any, where: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UserError(f"from_arrays: {where}rows of one length are wanted") from error
