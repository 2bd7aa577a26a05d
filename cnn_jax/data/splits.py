"""Splits by seed, stratified by class, the same on every machine."""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import SPLIT_NAMES, ImageSource, Split, SplitName
from cnn_jax.errors import UserError


def divide(examples: Split, source: ImageSource, config: ConfigDict) -> dict[SplitName, Split]:
    """The splits that the source has; what it lacks of test and validation is held out by class.

    A source with a validation split alone has it as its test split, as ImageNet is used.
    """
    if source.splits is None:
        splits: dict[SplitName, Split] = {}
        train = examples
        check_class_counts(examples, source, config)
    else:
        splits = {
            name: examples.take(np.flatnonzero(np.isin(examples.ids, source.splits[name])))
            for name in SPLIT_NAMES
            if name in source.splits
        }
        train = splits["train"]
        if "test" not in splits and "validation" in splits:
            splits["test"] = splits.pop("validation")
    whole, seed = len(train), config.split_seed
    if "test" not in splits:
        train, splits["test"] = hold_out(train, config.test, seed, "data.test")
    if "validation" not in splits:
        size = as_count(config.validation, whole)
        train, splits["validation"] = hold_out(train, size, seed, "data.validation")
    if len(splits["test"]) == 0:
        raise UserError(f"data.test={config.test}: {config.name} has no test split of its own")
    return {"train": train, "validation": splits["validation"], "test": splits["test"]}


def check_class_counts(examples: Split, source: ImageSource, config: ConfigDict) -> None:
    """Raises `UserError` where a class has fewer examples than there will be splits."""
    classes = source.task.classes
    if not classes:
        return
    missing = 1 + (config.test > 0) + (config.validation > 0)
    counts = np.bincount(examples.labels, minlength=len(classes))
    if counts.min() < missing:
        raise UserError(
            f"data.name={config.name!r}: class {classes[counts.argmin()]!r} has {counts.min()} "
            f"usable image(s), fewer than the {missing} splits"
        )


def as_count(size: float, examples: int) -> float:
    """A fraction of `examples` as a number of them; numbers stay."""
    return float(round(size * examples)) if 0 < size < 1 else size


def hold_out(split: Split, size: float, seed: int, key: str) -> tuple[Split, Split]:
    """Divides `split` into (rest, held out); `size` is a fraction below 1 or a number of examples.

    Every class keeps its fraction to within one example. Both parts stay in the order of the
    source. Continuous targets are divided at random. `key` names the config key in an error.
    """
    from sklearn.model_selection import train_test_split

    count = round(size * len(split)) if 0 < size < 1 else int(size)
    if size == 0:
        return split, split.take(np.arange(0))
    classes = len(np.unique(split.labels)) if split.labels.dtype.kind == "i" else 1
    whole = size < 1 or size == count
    if not whole or not classes <= count <= len(split) - classes:
        raise UserError(
            f"{key}={size} holds out {count} of {len(split)} examples; "
            f"choose between {classes} and {len(split) - classes}, or a fraction below 1"
        )
    rows = np.arange(len(split))
    stratify = split.labels if split.labels.dtype.kind == "i" else None
    if stratify is not None and (rare := np.bincount(stratify)[np.unique(stratify)].min()) < 2:
        raise UserError(f"{key}={size}: a class with {rare} example cannot be split in two")
    rest, held_out = train_test_split(rows, test_size=count, random_state=seed, stratify=stratify)
    return split.take(np.sort(rest)), split.take(np.sort(held_out))
