"""From a config to splits of uint8 images that fit the net."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import embedded, official, splits
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.images import fit_channels, fit_size
from cnn_jax.errors import UserError, unknown

EMBEDDED: dict[str, Callable[[], tuple[Task, Split]]] = {
    "digits": embedded.digits,
    "digits_angle": embedded.digits_angle,
}


def names() -> list[str]:
    """Every dataset that `config.data.name` may name."""
    return [*EMBEDDED, *official.SETS]


def load(config: ConfigDict) -> Dataset:
    """The dataset of `config.data`, split, fitted to `image_size` and `channels`.

    A set with no official test split gives `config.test` of its examples to it; `config.validation`
    is then held out of the training examples. Both are fractions or counts, stratified by class
    with `config.split_seed`.
    """
    if config.name in EMBEDDED:
        task, everything = EMBEDDED[config.name]()
        train, test = splits.held_out(everything, config.test, config.split_seed, "data.test")
        if len(test) == 0:
            raise UserError(f"data.test={config.test}: {config.name} has no test split of its own")
    elif config.name in official.SETS:
        task, train, test = official.load(config.name, config.dir, config.download, config.mirror)
    else:
        raise unknown("data.name", config.name, names())
    train, validation = splits.held_out(
        train, config.validation, config.split_seed, "data.validation"
    )
    if task.kind == "regression":
        mean, std = float(train.labels.mean()), float(train.labels.std())
        task = Task(task.kind, task.classes, task.unit, mean, std)
    fitted = [fit(split, config) for split in (train, validation, test)]
    return Dataset(config.name, task, *fitted)


def fit(split: Split, config: ConfigDict) -> Split:
    """The split with its images at the config's size and channels."""
    if len(split) == 0:
        size = config.image_size
        return Split(np.zeros((0, size, size, config.channels), np.uint8), split.labels, split.ids)
    images = fit_size(fit_channels(split.images, config.channels), config.image_size, config.fit)
    return Split(np.ascontiguousarray(images), split.labels, split.ids)


__all__ = ["Dataset", "Split", "Task", "load", "names"]
