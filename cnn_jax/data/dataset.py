"""What a data source gives: uint8 images, their targets and stable ids, by split."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be predicted: one of `classes`, or a number in `unit`.

    A regression target is standardised by `mean` and `std` (of the training split) for the loss
    and turned back for the metrics.
    """

    kind: Literal["classification", "regression"]
    classes: tuple[str, ...] = ()
    unit: str = ""
    mean: float = 0.0
    std: float = 1.0

    @property
    def outputs(self) -> int:
        """How many numbers a net must put out."""
        return len(self.classes) if self.kind == "classification" else 1


@dataclasses.dataclass(frozen=True)
class Split:
    """`images` uint8 [N, H, W, C], `labels` int32 [N] (float32 for regression), `ids` int32 [N].

    An id is the example's number in its source's own order, and the same in every run. `images` are
    an array, or `LazyImages` that are decoded when indexed; `originals`, where they differ, are the
    images before they were fitted to the net.
    """

    images: Any
    labels: np.ndarray
    ids: np.ndarray
    originals: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Split:
        originals = None if self.originals is None else take_rows(self.originals, rows)
        return Split(take_rows(self.images, rows), self.labels[rows], self.ids[rows], originals)

    @property
    def in_memory(self) -> bool:
        """Whether the images are an array: they are streamed otherwise."""
        return isinstance(self.images, np.ndarray)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[H, W, C] of an image as the net sees it."""
        return tuple(self.images.shape[1:])

    def read_into(self, out: np.ndarray, row: int) -> None:
        """Writes one image as the net sees it to `out`, uint8 [H, W, C]."""
        if self.in_memory:
            out[:] = self.images[row]
        else:
            self.images.read_into(out, row)

    def original(self, row: int, min_side: int = 0) -> np.ndarray:
        """One image as its source has it, uint8 [H, W, C].

        A photograph may come smaller, with no side under `min_side`, where that is positive.
        """
        images = self.images if self.originals is None else self.originals
        return images[row] if isinstance(images, np.ndarray) else images.original(row, min_side)


def take_rows(images: Any, rows: np.ndarray) -> Any:
    return images[rows] if isinstance(images, np.ndarray) else images.take(rows)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The splits of one source, and the task that they pose."""

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    # The names of the examples of each split, where the source has files and no splits of its own.
    parts: dict[str, list[str]] | None = None

    def split(self, name: Literal["train", "validation", "test"]) -> Split:
        return getattr(self, name)
