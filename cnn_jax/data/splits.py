"""Splits by seed, stratified by class, the same on every machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from cnn_jax.data.dataset import SPLIT_NAMES, ImageSource, Split, SplitName
from cnn_jax.errors import UserError

RANDOM_LABELS = 1  # beside data.split_seed: the draw of labels is another than that of splits


def divide(examples: Split, source: ImageSource, config: ConfigDict) -> dict[SplitName, Split]:
    """The splits that the source has; what it lacks of test and validation is held out by class.

    A source with a validation split alone has it as its test split, as ImageNet is used; but of a
    folder `val` is watched, and there is no test.
    """
    if len(classes := source.task.classes) == 1:
        raise UserError(
            f"data.name={config.name!r}: one class ({classes[0]!r}) leaves nothing to tell apart"
        )
    folds_wanted = config.get("folds") if config.get("fold") is None else config.fold
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
            if config.name.startswith("folder:") and folds_wanted is None:
                return {**splits, "test": train.take(np.arange(0))}
            if folds_wanted is None:
                splits["test"] = splits.pop("validation")
    whole, seed = len(train), config.split_seed
    if folds_wanted is not None:
        train, splits = take_fold(train, splits, config)
    if "test" not in splits:
        train, splits["test"] = hold_out(train, config.test, seed, "data.test")
    if "validation" not in splits:
        train, splits["validation"] = hold_out(
            train, config.validation, seed, "data.validation", whole
        )
    if len(splits["test"]) == 0:
        raise UserError(
            f"data.test={config.test}: {config.name} has no test split of its own; choose a part "
            "of it, data.test=0.1"
        )
    return {"train": train, "validation": splits["validation"], "test": splits["test"]}


def undivide(examples: Split, source: ImageSource, config: ConfigDict) -> dict[SplitName, Split]:
    """The validation and test splits that the source has; all of it as test where it has neither.

    A validation split alone is the test split, but of a folder, as `divide` has it.
    """
    nothing, numbers = examples.take(np.arange(0)), source.splits or {}
    splits: dict[SplitName, Split] = {
        name: examples.take(np.flatnonzero(np.isin(examples.ids, numbers[name])))
        for name in SPLIT_NAMES
        if name in numbers and name != "train"
    }
    if "test" not in splits and not config.name.startswith("folder:"):
        splits["test"] = splits.pop("validation", nothing)
    if not any(map(len, splits.values())):
        splits["test"] = examples
    return {name: splits.get(name, nothing) for name in SPLIT_NAMES}


def check_folds(config: ConfigDict) -> None:
    """Raises `UserError` where one of `folds` and `fold` is missing, or it is no fold."""
    folds, fold = config.get("folds"), config.get("fold")
    if (folds, fold) != (None, None) and (folds is None or fold is None or fold >= folds):
        raise UserError(
            f"data.folds={folds} and data.fold={fold}: choose how many folds, 2 or "
            "more, and one of them, from 0 to folds - 1"
        )


def take_fold(
    train: Split, splits: dict[SplitName, Split], config: ConfigDict
) -> tuple[Split, dict[SplitName, Split]]:
    """(what is left of `train`, the splits with the fold of `config` as test or validation)."""
    part: SplitName = "validation" if "test" in splits else "test"
    check_folds(config)
    if part in splits:
        raise UserError(
            f"data.folds={config.folds}: {config.name} has splits of its own for test and for "
            "validation, and nothing is left to divide; leave data.folds and data.fold out"
        )
    fold = folds_of(train.labels, config.folds, config.split_seed) == config.fold
    left, held_out = train.take(np.flatnonzero(~fold)), train.take(np.flatnonzero(fold))
    return left, {**splits, part: held_out}


def folds_of(labels: np.ndarray, folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """The fold of every example: sizes differ by one at most, and those of a class by one.

    Continuous targets are divided at random. Raises `UserError` where a class is too small.
    """
    rng = np.random.default_rng(seed)
    classified = labels.dtype.kind == "i"
    groups = [np.flatnonzero(labels == c) for c in np.unique(labels)] if classified else []
    groups = groups or [np.arange(len(labels))]
    if (smallest := min(map(len, groups))) < folds:
        what = "examples" if not classified else "examples in its smallest class"
        raise UserError(
            f"data.folds={folds}: the data have {smallest} {what}, fewer than folds; choose "
            f"data.folds={smallest}" + ("" if smallest > 1 else ", which is no division: add some")
        )
    order = np.concatenate([rng.permutation(group) for group in groups])  # class after class
    out = np.empty(len(labels), int)
    out[order] = np.arange(len(labels)) % folds
    return out


def check_labels(source: ImageSource, name: str) -> None:
    """Raises `UserError` for a label that stands for no class of the source."""
    if source.task.kind != "classification":
        return
    labels, classes = np.asarray(source.labels), len(source.task.classes)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UserError(
            f"data.name={name!r}: label {labels[wrong[0]]} of {source.name(int(wrong[0]))} is not "
            f"among 0 to {classes - 1}, and {len(wrong)} of {len(labels)} are not; the set is "
            "damaged, or has examples without a label: mend or prepare it again"
        )


def with_random_labels(split: Split, share: float, classes: int, seed: int) -> Split:
    """`split` with round(share * N) labels drawn anew, uniformly over all classes.

    A label may fall on its own class again, as in Zhang et al. 2017, sec. 2. The labels are of the
    examples and not of the epochs: the same in every pass.
    """
    if not 0 <= share <= 1:
        raise UserError(f"data.random_labels={share}: a part of the training labels, 0 to 1")
    if not classes:
        raise UserError(f"data.random_labels={share}: there are no classes to draw from")
    rng = np.random.default_rng([seed, RANDOM_LABELS])
    rows = rng.permutation(len(split))[: round(share * len(split))]
    labels = split.labels.copy()
    labels[rows] = rng.integers(classes, size=len(rows), dtype=labels.dtype)
    return dataclasses.replace(split, labels=labels)


def describe(
    splits: Mapping[Any, Split],
    folders: Mapping[SplitName, str],
    classes: int,
    undivided: bool = False,
) -> str:
    """Which folder serves as what, in one line."""
    sizes = ", ".join(f"{name} {len(split):,}" for name, split in splits.items() if len(split))
    if undivided:
        return f"{classes} class folders" + (f": {sizes}" if folders else f", all of them: {sizes}")
    if not folders:
        return f"{classes} class folders in one heap, divided by data.split_seed: {sizes}"
    roles = ", ".join(f"{folder}/ is {split}" for split, folder in folders.items())
    line = f"{classes} classes: {roles} ({sizes})"
    if "test" not in folders:
        line += "; there is no test/" + (
            ": the report is on validation" if not len(splits["test"]) else ": it is held out"
        )
    if "validation" not in folders and len(splits["validation"]):
        line += "; validation is held out of train"
    return line


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


def held_out_count(size: float, whole: int, classes: int) -> int:
    """The examples that `hold_out` takes for a number of them, or a fraction of `whole`."""
    return max(round(size * whole), classes) if 0 < size < 1 else int(size)


def hold_out(
    split: Split, size: float, seed: int, key: str, whole: int | None = None
) -> tuple[Split, Split]:
    """Divides `split` into (rest, held out).

    `size` is a number of examples, or a fraction below 1 of `whole`, or else of the split; of few
    examples it is rounded up to one a class. Every class keeps its fraction to within one example.
    Both parts stay in the order of the source. Continuous targets are divided at random. `key`
    names the config key in an error.
    """
    if size == 0:
        return split, split.take(np.arange(0))
    classes = len(np.unique(split.labels)) if split.labels.dtype.kind == "i" else 1
    most, is_fraction = len(split) - classes, 0 < size < 1
    count = held_out_count(size, len(split) if whole is None else whole, classes)
    if not (is_fraction or size == count) or not classes <= count <= most:
        advice = f"choose {key}={classes}" + (f", or up to {most}" if most > classes else "")
        if most < classes:
            advice = f"add images: with {2 * classes} there is one a class for each part"
        raise UserError(f"{key}={size} holds out {count} of {len(split)} examples; {advice}")
    classified = split.labels.dtype.kind == "i"
    if classified and (rare := np.unique_counts(split.labels).counts.min()) < 2:
        raise UserError(f"{key}={size}: a class with {rare} example cannot be split in two")
    random = np.random.RandomState(seed)
    chosen = np.zeros(len(split), bool)
    if classified:
        chosen[rows_by_class(split.labels, count, random)] = True
    else:
        chosen[random.permutation(len(split))[:count]] = True
    return split.take(np.flatnonzero(~chosen)), split.take(np.flatnonzero(chosen))


def rows_by_class(
    labels: Int[np.ndarray, " n"], count: int, random: np.random.RandomState
) -> Int[np.ndarray, " count"]:
    """`count` rows by chance, of every class its share.

    They are those of scikit-learn's `train_test_split`. To import that takes twice as long as to
    import JAX, and would come before the first step of every run.
    """
    sizes = np.unique_counts(labels).counts
    rows_of = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    stay = shares(sizes, len(labels) - count, random)
    go = shares(sizes - stay, count, random)
    found = []
    for rows, first, taken in zip(rows_of, stay, go, strict=True):
        found.append(random.permutation(rows)[first : first + taken])
    return np.concatenate(found)


def shares(
    sizes: Int[np.ndarray, " k"], count: int, random: np.random.RandomState
) -> Int[np.ndarray, " k"]:
    """How many of each of k classes make `count` together, in proportion to their sizes.

    What rounding down leaves goes to the classes that it took most from, by chance among equals.
    """
    exact = sizes / sizes.sum() * count
    whole = np.floor(exact)
    lost, left = exact - whole, int(count - whole.sum())
    for amount in np.unique(lost)[::-1]:
        if left <= 0:
            break
        equals = np.flatnonzero(lost == amount)
        more = random.choice(equals, min(len(equals), left), replace=False)
        whole[more] += 1
        left -= len(more)
    return whole.astype(int)
