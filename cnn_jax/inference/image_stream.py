"""Images from wherever a user has them, decoded a little ahead of the net, in order."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.images.decode import SUFFIXES, BadImageError, as_rgb, decode
from cnn_jax.data.images.resize import Image
from cnn_jax.data.images.room import in_room
from cnn_jax.data.sources.image_folder import image_files
from cnn_jax.errors import UserError
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.runtime.regular_files import read_regular
from cnn_jax.runtime.stores.copies import in_words

AHEAD = 4  # images a thread that are decoded before the net takes them
Views = list[np.ndarray]  # uint8, of one image


@dataclasses.dataclass(frozen=True)
class NamedImage:
    """An image that is not decoded yet, and what to call it."""

    name: str
    views: Callable[[ImagePreparation], Views]  # of one image; raises `BadImageError`


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Images as a net takes them, of a batch whose last rows may be filling alone."""

    names: list[str]
    groups: tuple[np.ndarray, ...]  # uint8 [B, S, S, C], or of a protocol [B, k, S, S, C] by size


def find_images(images: Any) -> list[NamedImage]:
    """Of arrays, Pillow images, paths and folders, or a sequence of such; raises `UserError`.

    A folder stands for the image files in it, at any depth, in order. An array is uint8, one image
    [H, W] or [H, W, C], or several [N, H, W, C].
    """
    if isinstance(images, str | os.PathLike):
        return [named_file(file) for file in files_at(Path(images))]
    if isinstance(images, np.ndarray) and images.ndim == 4:
        images = list(images)
    if isinstance(images, Sequence):
        found = [find_images(image) for image in images]
        if not found:
            raise UserError("images=[] holds no image")
        named = [one for group in found for one in group]
        return [
            dataclasses.replace(one, name=f"image {i}") if one.name == "image 0" else one
            for i, one in enumerate(named)
        ]
    pixels = as_pixels(images)
    return [NamedImage("image 0", lambda own: own(pixels))]


def as_pixels(image: Any) -> Image:
    """uint8 [H, W, C] of an array or a Pillow image; raises `UserError`."""
    if hasattr(image, "convert") and hasattr(image, "mode"):
        return as_rgb(image)
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise UserError(
            f"images: {pixels.dtype} {list(pixels.shape)} is no image; give uint8 grey levels, "
            "0 to 255, as [H, W], [H, W, C] or [N, H, W, C], a Pillow image, or paths"
        )
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.shape[-1] not in (1, 3):
        raise UserError(
            f"images: {list(pixels.shape)} has {pixels.shape[-1]} channels, the last axis; "
            "choices: 1 (grey) or 3 (RGB)"
        )
    return pixels


def files_at(path: Path) -> list[str]:
    """The path of the file, or those of a folder; raises `UserError` where there is none."""
    path = path.expanduser()
    if path.is_dir():
        unread: list[str] = []
        files = [os.path.join(path, name) for name in image_files(path, Path(), unread)]
        if not files:
            raise UserError(f"images={str(path)!r} holds no image ({', '.join(SUFFIXES)})")
        return files
    if not path.exists():
        raise UserError(f"images={str(path)!r}: there is no such file or folder")
    return [os.fspath(path)]


def named_file(file: str) -> NamedImage:
    def read(max_bytes: int) -> bytes:
        try:
            return read_regular(file, first=max_bytes)
        except OSError as error:
            raise BadImageError(error.strerror or str(error)) from error

    def views(own: ImagePreparation) -> Views:
        with in_room(read, own.max_pixels, own.min_side) as (content, header):
            return own(decode(content, own.min_side, header=header))

    return NamedImage(in_words(file), views)


def prepare_ahead(
    images: Iterable[NamedImage], preparation: ImagePreparation
) -> Iterator[tuple[str, Views | BadImageError]]:
    """Each image's name and views, or what is wrong with it; a bounded number is made ahead."""

    def prepare(image: NamedImage) -> Views | BadImageError:
        try:
            return image.views(preparation)
        except BadImageError as error:
            return error.alone()

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with ThreadPoolExecutor(threads, "decode") as pool:
        waiting: collections.deque[tuple[str, Future]] = collections.deque()
        rest = iter(images)
        try:
            for image in rest:
                waiting.append((image.name, pool.submit(prepare, image)))
                if len(waiting) > AHEAD * (threads or 1):
                    name, result = waiting.popleft()
                    yield name, result.result()
            while waiting:
                name, result = waiting.popleft()
                yield name, result.result()
        finally:
            for _, result in waiting:
                result.cancel()


def batches(
    prepared: Iterable[tuple[str, Views | BadImageError]],
    size: int,
    on_bad: Callable[[str, BadImageError], None],
) -> Iterator[Prepared]:
    """Batches of `size`; the last is filled up with its last image. Bad images are told and left.

    Raises nothing: `on_bad` may.
    """

    def good() -> Iterator[tuple[str, Views]]:
        for name, views in prepared:
            if isinstance(views, BadImageError):
                on_bad(name, views)
            else:
                yield name, views

    rest = good()
    while part := list(itertools.islice(rest, size)):
        filled = part + part[-1:] * (size - len(part))
        groups = zip(*(views for _, views in filled), strict=True)
        yield Prepared([name for name, _ in part], tuple(map(np.stack, groups)))
