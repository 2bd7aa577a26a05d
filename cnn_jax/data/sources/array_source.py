"""A source whose images are one array in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.dataset import Labels, Task


@dataclasses.dataclass(frozen=True)
class ArraySource:
    """Images of one size, decoded; an `ImageSource`."""

    task: Task
    images: UInt8[np.ndarray, "n h w c"]
    labels: Labels
    splits: Mapping[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, number: int) -> str:
        return f"example {number}"
