"""From listed photographs to a dataset: checked, split, and in memory where they fit."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import splits
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.lazy_images import LazyImages, Source, first_of, map_in_threads, refuse
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.errors import UserError

PARTS = ("train", "validation", "test")


class Listed(Protocol):
    """What a source lists before anything is decoded."""

    source: Source
    classes: tuple[str, ...]
    labels: np.ndarray  # int32 [N]
    splits: dict[str, np.ndarray] | None


def load(config: ConfigDict, listed: Listed, fit: ResizeSpec) -> Dataset:
    """The dataset of `config.data`: its files held to `config.verify`, the bad ones refused."""
    key = f"data.name={config.name!r}"
    if config.verify:
        verify(listed.source, Path(config.verify).expanduser())
    if config.train_crop:
        TrainCrop.parse(config.train_crop, config.image_size)  # a mistake shows before the work
    photos = LazyImages(listed.source, np.arange(len(listed.source)), fit, config.max_pixels)
    streaming = is_streaming(config, photos)
    decoded, bad = check(photos, config, streaming)
    refuse([(photos.name(i), str(e)) for i, e in bad], len(photos), key, config.skip_bad)
    good = np.setdiff1d(np.arange(len(photos)), [i for i, _ in bad])
    images = photos.take(good) if streaming else decoded
    whole = Split(images, listed.labels[good], np.int32(good), photos.take(good))
    by_split = divide(whole, listed, config, key)
    task = Task("classification", listed.classes)
    parts = None
    if listed.splits is None:
        parts = {n: [photos.name(int(i)) for i in s.ids] for n, s in by_split.items()}
    return Dataset(config.name, task, **by_split, parts=parts)


def is_streaming(config: ConfigDict, photos: LazyImages) -> bool:
    """As the config says, or, where it leaves it open, by size."""
    if config.train_crop and config.streaming is False:
        raise UserError(
            f"data.train_crop={config.train_crop!r} cuts from the photographs themselves, which "
            "data.streaming=False does not keep; choose data.streaming=True"
        )
    if config.streaming is not None:
        return config.streaming
    return bool(config.train_crop) or np.prod(photos.shape) > config.memory_megabytes * 1e6


def check(
    photos: LazyImages, config: ConfigDict, streaming: bool
) -> tuple[np.ndarray | None, list]:
    """(fitted images of the good files unless streaming, [(row, what is wrong)])."""
    rows = range(len(photos))
    if streaming and not config.skip_bad:  # headers at once, the rest when it is their turn

        def look(row: int) -> BadImageError | None:
            try:
                return photos.check_header(row)
            except BadImageError as error:
                return error

        found = map_in_threads(look, rows, "reading headers")
        return None, [(i, error) for i, error in enumerate(found) if error]
    images, bad = [], []
    for row, image in enumerate(photos.decoded(rows, "decoding")):
        if isinstance(image, BadImageError):
            bad.append((row, image))
        elif not streaming:
            images.append(image)
    return (np.stack(images) if images else None), bad


def divide(whole: Split, listed: Listed, config: ConfigDict, key: str) -> dict[str, Split]:
    """The splits of the source, or 80/10/10 by class; what it lacks is held out of the rest."""
    rows = np.arange(len(whole))
    if listed.splits is not None:
        where = {n: np.isin(whole.ids, listed.splits[n]) for n in PARTS if n in listed.splits}
        found = {name: whole.take(rows[mask]) for name, mask in where.items()}
        train, count = found["train"], len(found["train"])
        if "test" not in found and "validation" in found:  # as ImageNet is used
            found["test"] = found.pop("validation")
    else:
        found, train, count = {}, whole, len(whole)
        missing = 1 + (config.test > 0) + (config.validation > 0)
        counts = np.bincount(whole.labels, minlength=len(listed.classes))
        if counts.min() < missing:
            name = listed.classes[counts.argmin()]
            raise UserError(
                f"{key}: class {name!r} has {counts.min()} usable image(s), fewer than the "
                f"{missing} splits"
            )
    for name in ("test", "validation"):
        if name not in found:
            size = splits.counted(config[name], count)
            train, found[name] = splits.hold_out(train, size, config.split_seed, f"data.{name}")
    if len(found["test"]) == 0:
        raise UserError(f"data.test={config.test}: {config.name} has no test split of its own")
    return {"train": train, "validation": found["validation"], "test": found["test"]}


def verify(source: Source, manifest: Path) -> None:
    """Holds every file to the SHA-256 that `manifest` has for it, in sha256sum's format."""
    key = f"data.verify={str(manifest)!r}"
    try:
        lines = manifest.read_text().splitlines()
    except OSError as error:
        raise UserError(f"{key} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{key} is no text file") from error
    for number, line in enumerate(lines, 1):
        if not re.fullmatch("[0-9a-f]{64}  .+", line):
            raise UserError(f"{key}: line {number} is not 'SHA-256  FILE': {line:.40}")
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    names = [source.name(i) for i in range(len(source))]
    wrong = [(name, "not in the manifest") for name in names if name not in wanted]
    wrong += [(name, "gone") for name in sorted(wanted.keys() - set(names))]
    for name, digest in file_hashes(source):
        if wanted.get(name, digest) != digest:
            wrong.append((name, "another SHA-256"))
    if wrong:
        raise UserError(
            f"{key}: {len(wrong)} of {len({*names, *wanted})} files are not as hashed: "
            f"{first_of(wrong)}; restore them, or hash them anew by cnn_jax.tools.prepare"
        )


def file_hashes(source: Source) -> list[tuple[str, str]]:
    """(name, SHA-256) of every file of a source."""

    def one(number: int) -> tuple[str, str]:
        try:
            return source.name(number), hashlib.sha256(source.read(number)).hexdigest()
        except OSError as error:
            return source.name(number), f"unreadable: {error.strerror}"

    return list(map_in_threads(one, range(len(source)), "hashing"))
