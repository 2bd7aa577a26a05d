"""What a data source gives: uint8 images, their targets and stable ids, by split."""

from __future__ import annotations

import dataclasses
from typing import Literal

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

    An id is the example's number in its source's own order, and the same in every run.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Split:
        return Split(self.images[rows], self.labels[rows], self.ids[rows])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The splits of one source, and the task that they pose."""

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split

    def split(self, name: Literal["train", "validation", "test"]) -> Split:
        return getattr(self, name)
