"""From a config to splits of images: `load(config.data)`.

The way of an image, from its file to the step that trains on it:

1. An `ImageSource` (sources/) lists it: its number, class and split. Arrays are `ArraySource`s.
2. `LazyImages` (images/lazy_images) reads it from the source and decodes it when it is its turn;
3. a `ResizeSpec`, or of a training photograph a `TrainCrop`, brings it to the size of the net.
4. A `Split` is images, labels and ids; a `Dataset` three of them, and the `Task` that they pose.
5. A sampler (loading/sampler) says which rows make batch number `step`: a `TrainSampler` by
   shuffled epochs, an `EvalSampler` in order.
6. A loader (loading/loaders) has that batch: a `DeviceLoader` of a split that lies on the devices,
   a `StreamLoader` of one that a `BatchReader` reads ahead of the steps.
7. What it gives is a `BatchSource` (`TrainOrder`, `EvalRows` or `HostBatch`), from which the
   compiled step takes its `Batch`: uint8 images, labels, ids and a mask.
8. augment/ and `InputStatistics` (normalization) change it in the compiled step.

`register(name, open_source)` gives a set of one's own a name; `from_arrays` makes one of arrays.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset, EncodedSource, Split, Task
from cnn_jax.data.identity import example_names
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.sources import image_dataset, names, open_source, register
from cnn_jax.data.sources.array_source import ArraySource, from_arrays
from cnn_jax.data.sources.image_folder import FolderSource
from cnn_jax.data.splits import check_labels, describe, divide, undivide, with_random_labels
from cnn_jax.errors import UserError


def load(
    config: ConfigDict,
    undivided: bool = False,
    source: ArraySource | EncodedSource | None = None,
) -> Dataset:
    """The dataset of `config.data`, split, and at the size and channels of the net.

    A set with no test split of its own gives `config.test` of its examples to it;
    `config.validation` is then held out of the training examples. Both are counts, or fractions of
    all the examples that are divided; stratified by class with `config.split_seed`. `undivided`,
    for what no net here is trained on: nothing is held out, and one heap is all test. A `source`
    that is given takes the place of the one that `config.name` names.
    """
    divided = undivide if undivided else divide
    source = open_source(config) if source is None else source
    resize = ResizeSpec.of(config)
    check_labels(source, config.name)
    if isinstance(source, ArraySource):
        if config.train_crop and not undivided:
            TrainCrop.parse(config.train_crop, config.image_size)
            raise UserError(
                f"data.train_crop={config.train_crop!r} cuts from photographs, and {config.name} "
                "has images of one size; choose data.train_crop='' and "
                f"augment=({config.train_crop!r},)"
            )
        ids = np.arange(len(source), dtype=np.int32)
        splits = divided(Split(source.images, source.labels, ids), source, config)
        splits = {name: resized(split, resize) for name, split in splits.items()}
    else:
        splits = divided(image_dataset.read_examples(config, source, resize), source, config)
    task, parts = source.task, None
    if (share := config.get("random_labels")) and not undivided:
        seed, classes = config.split_seed, len(task.classes)
        splits["train"] = with_random_labels(splits["train"], share, classes, seed)
    if task.kind == "regression" and not undivided:
        labels = splits["train"].labels
        task = dataclasses.replace(task, mean=float(labels.mean()), std=float(labels.std()))
    is_folder = config.name.startswith("folder:") and isinstance(source, FolderSource)
    if is_folder or (source.splits is None and not isinstance(source, ArraySource)):
        parts = {name: example_names(split) for name, split in splits.items()}
    layout = ""
    if isinstance(source, FolderSource):
        layout = describe(splits, source.folders, len(task.classes), undivided)
    return Dataset(config.name, task, **splits, parts=parts, layout=layout)


def resized(split: Split, resize: ResizeSpec) -> Split:
    """An array's split with its images at the size and channels of the net."""
    images = resize.of_array(split.images)
    return Split(images, split.labels, split.ids, originals=split.images)


__all__ = ["Dataset", "Split", "Task", "from_arrays", "load", "names", "register"]
