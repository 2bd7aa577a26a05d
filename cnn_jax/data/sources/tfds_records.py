"""Sets prepared by tensorflow-datasets as ArrayRecord, read without TensorFlow."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from cnn_jax.data.dataset import SPLIT_NAMES, Task
from cnn_jax.data.images.lazy_images import map_in_threads
from cnn_jax.errors import UserError, nearest
from cnn_jax.runtime.regular_files import read_regular

OWN_CLASS = r"tensorflow_datasets\.core\.features\.[A-Za-z0-9_.]+"


@dataclasses.dataclass(frozen=True)
class TfdsSource:
    """The encoded images of a prepared set, its splits one after another; an `EncodedSource`."""

    folder: str  # of the prepared version
    counts: tuple[tuple[str, int], ...]  # (split, examples)
    image_key: str
    task: Task
    labels: Int32[np.ndarray, " n"]
    set_name: str = ""  # "set/config/version"

    def __len__(self) -> int:
        return sum(count for _, count in self.counts)

    @property
    def splits(self) -> Mapping[str, np.ndarray] | None:
        if len(self.counts) == 1:
            return None
        ends = np.cumsum([count for _, count in self.counts])
        return {
            split: np.arange(end - count, end)
            for (split, count), end in zip(self.counts, ends, strict=True)
        }

    def locate(self, number: int) -> tuple[str, int]:
        """(split, row in it)."""
        for split, count in self.counts:
            if number < count:
                return split, number
            number -= count
        raise IndexError(number)

    def record(self, number: int) -> dict[str, Any]:
        split, row = self.locate(number)
        return records(self.folder, split, self.image_key)[row]

    def read(self, number: int, max_bytes: int = -1) -> bytes:
        content = self.record(number)[self.image_key]
        return content if max_bytes < 0 else content[:max_bytes]

    def name(self, number: int) -> str:
        split, row = self.locate(number)
        return f"{split}[{row}]"


@functools.cache
def records(folder: str, split: str, image_key: str) -> Any:
    """The records of one split, images undecoded; opened once a process."""
    import tensorflow_datasets as tfds  # pyright: ignore[reportMissingImports]

    builder = tfds.builder_from_directory(folder)
    return builder.as_data_source(split, decoders={image_key: tfds.decode.SkipDecoding()})


def open_prepared(name: str, data_dir: str) -> TfdsSource:
    """The prepared set `name` of `data_dir`; reads every label once."""
    key = f"data.name='tfds:{name}'"
    builder = open_builder(name, data_dir, key)
    info = builder.info
    if "array_record" not in str(info.file_format.file_suffix if info.file_format else ""):
        raise UserError(f"{key}: prepared as {info.file_format}; only array_record is read here")
    image_key, label_key = supervised_keys(info, key)
    splits = [split for split in SPLIT_NAMES if split in info.splits]
    if "train" not in splits:
        raise UserError(f"{key}: has no split 'train', only {', '.join(info.splits)}")
    counts = tuple((split, info.splits[split].num_examples) for split in splits)
    task = Task("classification", tuple(info.features[label_key].names))
    none = np.zeros(0, np.int32)
    source = TfdsSource(str(builder.data_dir), counts, image_key, task, none, info.full_name)
    return dataclasses.replace(source, labels=read_labels(source, label_key))


def open_builder(name: str, data_dir: str, key: str) -> Any:
    """The builder of a set that is prepared; raises `UserError` for any other."""
    try:
        import tensorflow_datasets as tfds  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"{key}: tensorflow-datasets is not installed ({error}); pip install 'cnn_jax[tfds]'"
        ) from error
    root = Path(data_dir).expanduser()
    check_class_names(root / name.partition("/")[0].partition(":")[0], key)
    try:
        builder = tfds.builder(name, data_dir=root)
        is_prepared = Path(builder.data_dir).is_dir()
    except (tfds.core.DatasetNotFoundError, ValueError, ImportError) as error:
        prepared = sorted(p.name for p in root.glob("*") if any(p.glob("**/dataset_info.json")))
        raise UserError(
            f"{key}: no such set is prepared in data.dir={data_dir!r}{nearest(name, prepared)}; "
            f"there: {', '.join(prepared) or 'none'}"
        ) from error
    if not is_prepared:
        raise UserError(
            f"{key}: not prepared in data.dir={data_dir!r}; once: python -m cnn_jax.tools.prepare "
            f"{name} --data_dir={data_dir}"
        )
    return builder


def check_class_names(folder: Path, key: str) -> None:
    """Raises `UserError` where a set names a Python class that is not tfds' own.

    tfds imports the module of each such name: a name in a data file would be a program.
    """
    for path in sorted(folder.glob("**/features.json")):
        try:
            features = json.loads(read_regular(path))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{key}: {path} cannot be read ({error})") from error
        for name in class_names(features):
            if not (isinstance(name, str) and re.fullmatch(OWN_CLASS, name)):
                raise UserError(
                    f"{key}: {path} names the Python class {name!r:.100}, which is none of "
                    "tensorflow_datasets' features; it was not imported"
                )


def class_names(node: Any) -> Iterator[Any]:
    """Every value of "pythonClassName" in nested JSON."""
    nodes = [node]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            if "pythonClassName" in node:
                yield node["pythonClassName"]
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node


def supervised_keys(info: Any, key: str) -> tuple[str, str]:
    """The names of the image and of the label in a record."""
    names = info.supervised_keys or ("image", "label")
    if not all(name in info.features for name in names[:2]):
        raise UserError(f"{key}: has no image and label, only {', '.join(info.features)}")
    if not hasattr(info.features[names[1]], "names"):
        raise UserError(f"{key}: {names[1]!r} is no class label")
    return names[0], names[1]


def read_labels(source: TfdsSource, label_key: str) -> Int32[np.ndarray, " n"]:
    """The label of every record; kept beside the records where that can be written."""
    cache = Path(source.folder) / "cnn_jax_labels.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):  # none, or half of one: read anew
        labels = np.load(io.BytesIO(read_regular(cache)), allow_pickle=False)
        if (labels.dtype, labels.shape) == (np.int32, (len(source),)):
            return labels
    numbers = range(len(source))
    read = map_in_threads(lambda i: source.record(i)[label_key], numbers, "reading labels")
    labels = np.fromiter(read, np.int32, len(source))
    with contextlib.suppress(OSError):  # a shared, read-only set: read again next time
        temporary = cache.with_name(f".{cache.name}.{os.getpid()}")
        with open(temporary, "wb") as stream:
            np.save(stream, labels)
        os.replace(temporary, cache)
    return labels
