"""Images that are decoded when they are asked for, and brought to the size of the net."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from cnn_jax.data.images.decode import PIXELS, BadImageError, decode, read_header
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import track

HEAD = 1 << 16  # bytes, within which nearly every file has its size in pixels


class Source(Protocol):
    """Encoded images by number; what a worker process needs to read them, so it can be pickled."""

    def __len__(self) -> int: ...

    def read(self, number: int, most: int = -1) -> bytes:
        """The content of image `number`, or its first `most` bytes; raises `OSError`."""

    def name(self, number: int) -> str:
        """What to call image `number` in a message."""


@dataclasses.dataclass(frozen=True)
class LazyImages:
    """Rows of a source. Indexed by row, it decodes; `shape` is as of the array it stands for."""

    source: Source
    numbers: np.ndarray  # int64 [N], of the source
    fit: ResizeSpec
    max_pixels: int = PIXELS

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), self.fit.size, self.fit.size, self.fit.channels or 3)

    def take(self, rows: np.ndarray) -> LazyImages:
        return dataclasses.replace(self, numbers=self.numbers[rows])

    def name(self, row: int) -> str:
        return self.source.name(int(self.numbers[row]))

    def original(self, row: int, min_side: int = 0, out: np.ndarray | None = None) -> np.ndarray:
        """uint8 [H, W, 3], no smaller than `min_side` unless it is by itself.

        Raises `BadImageError`. `out` as `decode` has it.
        """
        return decode(self.content(row), min_side, self.max_pixels, out)

    def check_header(self, row: int) -> None:
        """Raises `BadImageError` for what can be seen without decoding."""
        head = self.content(row, HEAD)
        try:
            read_header(head, self.max_pixels)
        except BadImageError:
            if len(head) < HEAD:  # which is all of the file
                raise
            read_header(self.content(row), self.max_pixels)

    def content(self, row: int, most: int = -1) -> bytes:
        """The file as it is, or its first `most` bytes; raises `BadImageError`."""
        try:
            return self.source.read(int(self.numbers[row]), most)
        except OSError as error:
            raise BadImageError(error.strerror or str(error)) from error

    def __getitem__(self, row: int) -> np.ndarray:
        """uint8 [S, S, C], fitted; raises `BadImageError`."""
        return self.fit(self.original(row, self.fit.min_side))

    def read_into(self, out: np.ndarray, row: int) -> None:
        """The fitted image written to `out`, uint8 [S, S, C], without a copy where it fits."""
        image = self.fit(self.original(row, self.fit.min_side, out))
        if not np.may_share_memory(image, out):
            out[:] = image

    def decoded(self, rows: Iterable[int], label: str = "") -> Iterator[np.ndarray | BadImageError]:
        """The fitted image of each row, or what is wrong with it, by as many threads as cores."""

        def one(row: int) -> np.ndarray | BadImageError:
            try:
                return self[row]
            except BadImageError as error:
                return error

        yield from map_in_threads(one, list(rows), label)


def map_in_threads(
    function: Callable[[Any], Any], items: Sequence[Any], label: str
) -> Iterator[Any]:
    """`function` of every item in order, with the progress of what has a label."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(function, items)
        yield from track(results, label, len(items)) if label else results


def bad_image(name: str, reason: BadImageError) -> UserError:
    """For one that is found when it is its turn."""
    return UserError(
        f"{name} cannot be used ({reason}); mend or remove it, or set data.skip_bad=True"
    )


def first_of(bad: Sequence[tuple[str, str]]) -> str:
    """Five of (name, reason), and how many more there are."""
    shown = "; ".join(f"{name} ({reason})" for name, reason in bad[:5])
    return shown + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")


def refuse(bad: Sequence[tuple[str, str]], total: int, key: str, skip: bool) -> None:
    """Says which files are bad: a warning when they are skipped, else an error."""
    if not bad:
        return
    said = f"{key}: {len(bad)} of {total} files cannot be used: {first_of(bad)}"
    if not skip:
        raise UserError(f"{said}; mend or remove them, or set data.skip_bad=True")
    print(f"warning: {said}; skipped", file=sys.stderr, flush=True)
