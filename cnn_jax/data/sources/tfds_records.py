"""Sets prepared by tensorflow-datasets as ArrayRecord, read without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.images.lazy_images import map_in_threads
from cnn_jax.errors import UserError, nearest

PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class PreparedSource:
    """The encoded images of a prepared set: those of its splits one after another."""

    folder: str  # of the prepared version
    counts: tuple[tuple[str, int], ...]  # (split, examples)
    image_key: str

    def __len__(self) -> int:
        return sum(count for _, count in self.counts)

    def place(self, number: int) -> tuple[str, int]:
        """(split, row in it)."""
        for split, count in self.counts:
            if number < count:
                return split, number
            number -= count
        raise IndexError(number)

    def record(self, number: int) -> dict[str, Any]:
        split, row = self.place(number)
        return records(self.folder, split, self.image_key)[row]

    def read(self, number: int, most: int = -1) -> bytes:
        content = self.record(number)[self.image_key]
        return content if most < 0 else content[:most]

    def name(self, number: int) -> str:
        split, row = self.place(number)
        return f"{split}[{row}]"


@dataclasses.dataclass(frozen=True)
class Listing:
    """A prepared set as `photosets` takes it."""

    source: PreparedSource
    classes: tuple[str, ...]
    labels: np.ndarray
    splits: dict[str, np.ndarray] | None


@functools.cache
def records(folder: str, split: str, image_key: str) -> Any:
    """The records of one split, images undecoded; opened once a process."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    return builder.as_data_source(split, decoders={image_key: tfds.decode.SkipDecoding()})


def listing(name: str, data_dir: str) -> Listing:
    """What the prepared set `name` of `data_dir` holds; reads every label once."""
    key = f"data.name='tfds:{name}'"
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UserError(
            f"{key}: tensorflow-datasets is not installed ({error}); pip install 'cnn_jax[tfds]'"
        ) from error
    root = Path(data_dir).expanduser()
    try:
        builder = tfds.builder(name, data_dir=root)
        ready = Path(builder.data_dir).is_dir()
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        there = sorted(p.name for p in root.glob("*") if any(p.glob("**/dataset_info.json")))
        raise UserError(
            f"{key}: no such set is prepared in data.dir={data_dir!r}{nearest(name, there)}; "
            f"there: {', '.join(there) or 'none'}"
        ) from error
    if not ready:
        raise UserError(
            f"{key}: not prepared in data.dir={data_dir!r}; once: python -m cnn_jax.tools.prepare "
            f"{name} --data_dir={data_dir}"
        )
    info = builder.info
    if "array_record" not in str(info.file_format.file_suffix if info.file_format else ""):
        raise UserError(f"{key}: prepared as {info.file_format}; only array_record is read here")
    image_key, label_key = supervised(info, key)
    splits = [part for part in PARTS if part in info.splits]
    if "train" not in splits:
        raise UserError(f"{key}: has no split 'train', only {', '.join(info.splits)}")
    counts = tuple((name, info.splits[name].num_examples) for name in splits)
    source = PreparedSource(str(builder.data_dir), counts, image_key)
    labels = read_labels(source, label_key)
    numbers, first = {}, 0
    for part, (_, count) in zip(splits, counts, strict=True):
        numbers[part] = np.arange(first, first + count)
        first += count
    classes = tuple(info.features[label_key].names)
    return Listing(source, classes, labels, numbers if len(numbers) > 1 else None)


def supervised(info: Any, key: str) -> tuple[str, str]:
    """The names of the image and of the label in a record."""
    names = info.supervised_keys or ("image", "label")
    if not all(name in info.features for name in names[:2]):
        raise UserError(f"{key}: has no image and label, only {', '.join(info.features)}")
    if not hasattr(info.features[names[1]], "names"):
        raise UserError(f"{key}: {names[1]!r} is no class label")
    return names[0], names[1]


def read_labels(source: PreparedSource, label_key: str) -> np.ndarray:
    """The label of every record, int32 [N]; kept beside the records where that can be written."""
    kept = Path(source.folder) / "cnn_jax_labels.npy"
    if kept.is_file():
        labels = np.load(kept)
        if len(labels) == len(source):
            return labels
    found = map_in_threads(
        lambda i: source.record(i)[label_key], range(len(source)), "reading labels"
    )
    labels = np.fromiter(found, np.int32, len(source))
    with contextlib.suppress(OSError):  # a shared, read-only set: read again next time
        np.save(kept, labels)
    return labels
