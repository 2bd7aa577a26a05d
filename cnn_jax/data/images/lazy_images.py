"""Images that are decoded when they are asked for, and brought to the size of the net."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import UInt8

from cnn_jax.data.dataset import EncodedSource
from cnn_jax.data.images.decode import PIXELS, BadImageError, Header, decode, read_header
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.images.room import in_room
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.progress import track

HEAD = 1 << 16  # bytes, within which nearly every file has its size in pixels


@dataclasses.dataclass(frozen=True, repr=False)
class LazyImages:
    """Rows of a source. Indexed by row, it decodes; `shape` is as of the array it stands for."""

    source: EncodedSource
    numbers: np.ndarray  # int64 [N], of the source
    resize: ResizeSpec
    max_pixels: int = PIXELS

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"<{len(self):,} images of {self.source}, read as {self.shape[1:]}>"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self), self.resize.size, self.resize.size, self.resize.channels or 3)

    def take(self, rows: np.ndarray) -> LazyImages:
        return dataclasses.replace(self, numbers=self.numbers[rows])

    def name(self, row: int) -> str:
        return self.source.name(int(self.numbers[row]))

    def original(
        self, row: int, min_side: int = 0, then: Callable[[np.ndarray], Any] = np.asarray
    ) -> Any:
        """`then` of uint8 [H, W, 3], no smaller than `min_side` unless it is by itself.

        Raises `BadImageError`. What `then` makes small takes the room of its size no longer.
        """
        with in_room(partial(self.content, row), self.max_pixels, min_side) as (content, header):
            return then(decode(content, min_side, header=header))

    def header(self, row: int) -> Header | BadImageError:
        """What can be seen without decoding, and, of most files, without reading all of it."""
        try:
            start = self.content(row, HEAD)
            try:
                return read_header(start, self.max_pixels)
            except BadImageError:
                if len(start) < HEAD:  # which is all of the file
                    raise
                return read_header(self.content(row), self.max_pixels)
        except BadImageError as error:
            return error.alone()

    def content(self, row: int, max_bytes: int = -1) -> bytes:
        """The file as it is, or its first `max_bytes` bytes; raises `BadImageError`."""
        try:
            return self.source.read(int(self.numbers[row]), max_bytes)
        except OSError as error:
            raise BadImageError(error.strerror or str(error)) from error

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "s s c"]:
        """The image at the size of the net; raises `BadImageError`."""
        return self.fitted(row)

    def read_into(self, out: UInt8[np.ndarray, "s s c"], row: int) -> None:
        """The image at the size of the net written to `out`, without a copy where it is so."""
        image = self.fitted(row, out)
        if not np.may_share_memory(image, out):
            out[:] = image

    def fitted(
        self, row: int, out: UInt8[np.ndarray, "s s c"] | None = None
    ) -> UInt8[np.ndarray, "s s c"]:
        """The image at the size of the net, decoded where there is room."""
        min_side = self.resize.min_side
        with in_room(partial(self.content, row), self.max_pixels, min_side) as (content, header):
            return self.resize(decode(content, min_side, out=out, header=header))

    def check_rows(self, label: str) -> list[tuple[str, str]]:
        """(name, reason) of every row that cannot be decoded, each decoded as small as it goes."""

        def check_one(row: int) -> BadImageError | None:
            try:
                with in_room(partial(self.content, row), self.max_pixels, 1) as (content, header):
                    decode(content, 1, header=header)
            except BadImageError as error:
                return error.alone()
            return None

        results = enumerate(map_in_threads(check_one, range(len(self)), label))
        return [(self.name(row), str(error)) for row, error in results if error is not None]

    def decode_rows(
        self, rows: Iterable[int], label: str = ""
    ) -> Iterator[np.ndarray | BadImageError]:
        """Each row's image at the size of the net, or what is wrong with it, by all cores."""

        def decode_one(row: int) -> np.ndarray | BadImageError:
            try:
                return self[row]
            except BadImageError as error:
                return error.alone()

        yield from map_in_threads(decode_one, list(rows), label)


def map_in_threads(
    function: Callable[[Any], Any], items: Sequence[Any], label: str
) -> Iterator[Any]:
    """`function` of every item in order, with the progress of what has a label."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(threads) as pool:
        results = pool.map(function, items)
        yield from track(results, label, len(items)) if label else results


def image_chunks(
    images: np.ndarray | LazyImages, label: str
) -> Iterator[UInt8[np.ndarray, "_n h w c"]]:
    """All images of the training split, a few at a time; raises `UserError` naming the bad ones."""
    if isinstance(images, np.ndarray):
        yield images
        return
    bad = []
    for row, image in enumerate(images.decode_rows(range(len(images)), label)):
        if isinstance(image, BadImageError):
            bad.append((images.name(row), str(image)))
        else:
            yield image[None]
    refuse_bad(bad, len(images), "training split", skip=False)


def bad_image(name: str, reason: BadImageError) -> UserError:
    """For one that is found when it is its turn."""
    return UserError(
        f"{name} cannot be used ({reason}); mend or remove it, or set data.skip_bad=True"
    )


def summarize_bad(bad: Sequence[tuple[str, str]]) -> str:
    """Five of (name, reason), and how many more there are."""
    shown = "; ".join(f"{name} ({reason})" for name, reason in bad[:5])
    return shown + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")


def name_each(bad: Sequence[tuple[str, str]]) -> None:
    """Warns of every one where `summarize_bad` leaves some out."""
    for name, reason in bad if len(bad) > 5 else ():
        print(printable(f"warning: {name}: {reason}"), file=sys.stderr, flush=True)


def refuse_bad(bad: Sequence[tuple[str, str]], total: int, key: str, skip: bool) -> None:
    """Says which files are bad: a warning when they are skipped, else an error."""
    if not bad:
        return
    name_each(bad)
    message = f"{key}: {len(bad)} of {total} files cannot be used: {summarize_bad(bad)}"
    if not skip:
        raise UserError(f"{message}; mend or remove them, or set data.skip_bad=True")
    print(f"warning: {printable(message)}; skipped", file=sys.stderr, flush=True)
