"""From a config to splits of uint8 images that fit the net."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import splits
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.images.resize import ResizeSpec, fit_channels, fit_size
from cnn_jax.data.sources import image_dataset, image_folder, official, sklearn_digits
from cnn_jax.errors import UserError, unknown

EMBEDDED: dict[str, Callable[[], tuple[Task, Split]]] = {
    "digits": sklearn_digits.digits,
    "digits_angle": sklearn_digits.digits_angle,
}
IMAGENET = "imagenet2012"
CENTRE_SHARE = 0.875  # of the resized side that the middle crop keeps: 224 of 256


def names() -> list[str]:
    """Every dataset that `config.data.name` may name."""
    return [*EMBEDDED, *official.SETS, IMAGENET, "folder:PATH", "tfds:NAME"]


def load(config: ConfigDict) -> Dataset:
    """The dataset of `config.data`, split, fitted to `image_size` and `channels`.

    A set with no test split of its own gives `config.test` of its examples to it;
    `config.validation` is then held out of the training examples. Both are counts, or fractions of
    all the examples that are divided; stratified by class with `config.split_seed`.
    """
    kind, _, argument = config.name.partition(":")
    if kind in ("folder", "tfds", IMAGENET):
        return image_dataset.load(config, photo_source(config, kind, argument), fit_of(config))
    if kind in EMBEDDED:
        task, everything = EMBEDDED[kind]()
        count = len(everything)
        train, test = splits.hold_out(everything, config.test, config.split_seed, "data.test")
        if len(test) == 0:
            raise UserError(f"data.test={config.test}: {config.name} has no test split of its own")
    elif kind in official.SETS:
        task, train, test = official.load(kind, config.dir, config.download, config.mirror)
        count = len(train)
    else:
        raise unknown("data.name", config.name, names())
    size = splits.counted(config.validation, count)
    train, validation = splits.hold_out(train, size, config.split_seed, "data.validation")
    if task.kind == "regression":
        mean, std = float(train.labels.mean()), float(train.labels.std())
        task = Task(task.kind, task.classes, task.unit, mean, std)
    fitted = [fit(split, config) for split in (train, validation, test)]
    return Dataset(config.name, task, *fitted)


def photo_source(config: ConfigDict, kind: str, argument: str) -> image_dataset.Listed:
    """The files of a folder, or the records of a prepared tfds set."""
    if kind == "folder":
        return image_folder.listing(argument)
    if kind == IMAGENET:
        place = Path(config.dir).expanduser() / IMAGENET
        if (place / "train").is_dir():
            return image_folder.listing(str(place))
        argument = argument or IMAGENET
        if not (place.parent / argument).is_dir():
            raise UserError(
                f"data.name={config.name!r}: data.dir={config.dir!r} holds neither a folder "
                f"{IMAGENET}/ with train/ and val/ of class folders nor a set prepared by "
                "tensorflow-datasets; the images are not free to download: see image-net.org"
            )
    from cnn_jax.data.sources import tfds_records

    return tfds_records.listing(argument, config.dir)


def fit_of(config: ConfigDict) -> ResizeSpec:
    """How a photograph comes to the size of the net."""
    resize = config.resize or round(config.image_size / CENTRE_SHARE)
    return ResizeSpec(config.image_size, config.fit, config.channels, resize)


def fit(split: Split, config: ConfigDict) -> Split:
    """An array's split with its images at the config's size and channels."""
    if len(split) == 0:
        size = config.image_size
        return Split(np.zeros((0, size, size, config.channels), np.uint8), split.labels, split.ids)
    images = fit_channels(split.images, config.channels)
    if config.fit == "crop":
        images = np.stack([fit_of(config)(image) for image in images])
    else:
        images = fit_size(images, config.image_size, config.fit)
    images = np.ascontiguousarray(images)
    return Split(images, split.labels, split.ids, originals=split.images)


__all__ = ["Dataset", "Split", "Task", "load", "names"]
