"""Splits by seed, stratified by class, the same on every machine."""

from __future__ import annotations

import numpy as np

from cnn_jax.data.dataset import Split
from cnn_jax.errors import UserError


def counted(size: float, examples: int) -> float:
    """A fraction of `examples` as a number of them; numbers stay."""
    return float(round(size * examples)) if 0 < size < 1 else size


def hold_out(split: Split, size: float, seed: int, key: str) -> tuple[Split, Split]:
    """Divides `split` into (rest, held out); `size` is a fraction below 1 or a number of examples.

    Every class keeps its share to within one example. Both parts stay in the order of the source.
    Continuous targets are divided at random. `key` names the config key in an error.
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
    kept, taken = train_test_split(rows, test_size=count, random_state=seed, stratify=stratify)
    return split.take(np.sort(kept)), split.take(np.sort(taken))
