"""Labelled images from anywhere for a net that has its classes already."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data import imagenet
from cnn_jax.data.dataset import Split, Task
from cnn_jax.data.identity import label_map
from cnn_jax.data.images.lazy_images import LazyImages
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources import open_source
from cnn_jax.data.sources.array_source import ArraySource
from cnn_jax.data.splits import check_labels
from cnn_jax.errors import UserError
from cnn_jax.inference.image_stream import NamedImage
from cnn_jax.runtime.workdir import FOLDER


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images with labels as a net numbers its classes."""

    name: str  # of the split, or "all"
    split: Split
    name_of: Callable[[int], str]  # of the image of a row


def data_name(data: Any) -> str:
    """`data` as `config.data.name` has it; raises `UserError`."""
    if isinstance(data, os.PathLike):
        return f"{FOLDER}{os.fspath(data)}"
    if not isinstance(data, str):
        raise UserError(
            f'data={data!r} is no name of a set: give one like "cifar10", "folder:PATH", or a path'
        )
    return data


def labelled_images(config: ConfigDict, task: Task, name: str | None) -> LabelledImages:
    """Those of the set `name`, or where that is None what the config's run reports on.

    Another set gives its test split, or its validation, or where it has no splits every image.
    Raises `UserError` for another task.
    """
    if name is None:
        dataset = data.load(config.data)
        split = relabelled(dataset.split(dataset.reported), dataset.task, task, config.data.name)
        return LabelledImages(
            dataset.reported, split, lambda row: dataset.example_name(dataset.reported, row)
        )
    section = config.data.copy_and_resolve_references()
    section.name = name
    source = open_source(section)
    check_labels(source, name)
    splits = source.splits or {}
    chosen = next((split for split in ("test", "validation") if split in splits), "all")
    numbers = np.asarray(splits.get(chosen, np.arange(len(source))), np.int32)
    if isinstance(source, ArraySource):
        images = source.images[numbers]
    else:
        images = LazyImages(source, numbers, ResizeSpec.of(section), section.max_pixels)
    split = relabelled(Split(images, source.labels[numbers], numbers), source.task, task, name)
    return LabelledImages(chosen, split, lambda row: source.name(int(numbers[row])))


def images_of(labelled: LabelledImages) -> list[NamedImage]:
    """Its images, to be read when it is their turn."""

    def named(row: int) -> NamedImage:
        split = labelled.split
        return NamedImage(labelled.name_of(row), lambda own: split.original(row, own.min_side, own))

    return [named(row) for row in range(len(labelled.split))]


def relabelled(split: Split, theirs: Task, ours: Task, name: str) -> Split:
    """The split with our numbers for the classes that are called alike."""
    if theirs.kind != ours.kind:
        raise UserError(f"data={name!r} is {theirs.kind}, and the net was trained for {ours.kind}")
    if theirs.kind == "regression" or theirs.classes == ours.classes:
        return split
    there, here = (imagenet.in_words(task.classes) for task in (theirs, ours))
    labels = label_map(there, here, f"data={name!r}", "the net")
    return dataclasses.replace(split, labels=labels[split.labels])
