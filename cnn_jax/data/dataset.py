"""What the data is on its way to the net: a source, its splits, and the task that they pose."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from cnn_jax.data.identity import identify

SplitName = Literal["train", "validation", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "validation", "test")

Labels = Int32[np.ndarray, " n"] | Float32[np.ndarray, " n"]  # floats for regression


@dataclasses.dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"{self.outputs} classes" if self.classes else f"{self.kind} {self.unit}".rstrip()


class ImageSource(Protocol):
    """Where examples come from: all that is known of them before they are decoded or divided.

    Its examples are numbered from 0, in an order that is the same on every machine. Arrays are one
    (`ArraySource`); a folder and prepared records list encoded images (`EncodedSource`).
    """

    @property
    def task(self) -> Task: ...

    @property
    def labels(self) -> Labels: ...

    @property
    def splits(self) -> Mapping[str, np.ndarray] | None:
        """The numbers of the examples of each split, or None for one heap that is yet to divide."""
        ...

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """What to call example `number` in a message."""
        ...


class EncodedSource(ImageSource, Protocol):
    """A source whose images are files of any kind and size. Worker processes get it by pickle."""

    def read(self, number: int, max_bytes: int = -1) -> bytes:
        """The content of image `number`, or its first `max_bytes` bytes; raises `OSError`."""
        ...


@dataclasses.dataclass(frozen=True, repr=False)
class Split:
    """`images` uint8 [N, H, W, C], `labels` int32 [N] (float32 for regression), `ids` int32 [N].

    An id is the example's number in its source, and the same in every run. `images` are an array,
    or `LazyImages` that are decoded when indexed; `originals`, where they differ, are the images
    before they were brought to the size of the net.
    """

    images: Any
    labels: Labels
    ids: Int32[np.ndarray, " n"]
    originals: Any = None

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        kind = "in memory" if self.in_memory else "decoded when read"
        return f"<{len(self):,} examples {self.image_shape}, {kind}>"

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
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def read_into(self, out: UInt8[np.ndarray, "h w c"], row: int) -> None:
        """Writes one image as the net sees it to `out`."""
        if self.in_memory:
            out[:] = self.images[row]
        else:
            self.images.read_into(out, row)

    def original(
        self, row: int, min_side: int = 0, then: Callable[[np.ndarray], Any] = np.asarray
    ) -> Any:
        """`then` of one image as its source has it, uint8 [H, W, C].

        A photograph may come smaller, with no side under `min_side`, where that is positive.
        """
        images = self.images if self.originals is None else self.originals
        if isinstance(images, np.ndarray):
            return then(images[row])
        return images.original(row, min_side, then)


def take_rows(images: Any, rows: np.ndarray) -> Any:
    return images[rows] if isinstance(images, np.ndarray) else images.take(rows)


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset:
    """The splits of one source, and the task that they pose."""

    name: str
    task: Task
    train: Split
    validation: Split
    test: Split
    # The names of the examples of each split, of a folder and of files without splits of their own.
    parts: dict[str, list[str]] | None = None
    layout: str = ""  # of a folder: which of its folders serves as what, in a line

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {len(self.split(name)):,}" for name in SPLIT_NAMES)
        return f"<{self.name}: {self.task}, {self.train.image_shape}; {sizes}>"

    @property
    def reported(self) -> SplitName:
        """The split that the report is on: test where there is one."""
        return "test" if len(self.test) else "validation"

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """Class names, and the count and hash of each split: see `data.identity`."""
        return identify(self.task, {name: self.split(name) for name in SPLIT_NAMES})

    def split(self, name: SplitName) -> Split:
        return getattr(self, name)

    def example_name(self, name: SplitName, row: int) -> str:
        """The file of an example where it has one, else its number in its source."""
        split = self.split(name)
        if self.parts is not None:
            return self.parts[name][row]
        for images in (split.images, split.originals):
            if hasattr(images, "name"):
                return images.name(row)
        return f"example {split.ids[row]}"
