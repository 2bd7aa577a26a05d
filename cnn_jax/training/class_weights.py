"""How much an example's loss counts while training, by its class: for classes of unequal size.

The loss of a batch stays the mean over its examples, of weighted losses. What is evaluated is not
weighted: its loss is the same whatever a net was trained with.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.transform_spec import TransformSpec, parse_spec
from cnn_jax.errors import UserError

KEY = "loss.class_weights"
Counts = Int[np.ndarray, " k"]
Weights = Float[np.ndarray, " k"]


def balanced(counts: Counts) -> Weights:
    """N / (K n_c): every class counts alike in an epoch, and the mean over examples is 1.

    K are the classes that have examples; one that has none weighs 0.
    """
    present = counts > 0
    return np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)


def effective_number(counts: Counts, beta: float = 0.999) -> Weights:
    """(1 - beta) / (1 - beta ** n_c), scaled to sum to the number of classes that have examples.

    Cui et al., "Class-balanced loss based on effective number of samples", CVPR 2019, eq. 3; at 0
    all weigh 1, towards 1 they are in proportion to 1 / n_c.
    """
    present = counts > 0
    inverse = (1 - beta) / (1 - beta ** np.maximum(counts, 1).astype(np.float64))
    inverse = np.where(present, inverse, 0.0)
    return inverse * present.sum() / inverse.sum()


def given(counts: Counts, *weights: float) -> Weights:
    """The weights themselves, in the order of the classes."""
    del counts
    return np.array(weights, np.float64)


KINDS: dict[str, Callable[..., Weights]] = {
    "balanced": balanced,
    "effective_number": effective_number,
    "given": given,
}


def parse(text: str) -> TransformSpec:
    """What `loss.class_weights` asks for; raises `UserError`."""
    spec = parse_spec(KEY, text, KINDS, leading=1)
    if spec.name == "effective_number" and not spec.numbers[0] < 1:
        raise UserError(f"{KEY}={text!r}: beta must be >= 0 and < 1")
    if spec.name == "given" and not any(spec.numbers):
        raise UserError(f"{KEY}={text!r}: name a weight for each class, not all of them 0")
    return spec


def class_weights(config: ConfigDict, dataset: Dataset) -> Float[np.ndarray, " k"] | None:
    """float32, one a class by the counts of the training split; None where none are asked for."""
    text, task = config.loss.get("class_weights"), dataset.task
    if not text:
        return None
    if task.kind != "classification":
        raise UserError(f"{KEY}={text!r}: {config.data.name} has no classes; leave it out")
    spec, count = parse(text), len(task.classes)
    if spec.name == "given" and len(spec.numbers) != count:
        raise UserError(
            f"{KEY}={text!r} has {len(spec.numbers)} weights, and {config.data.name} has {count} "
            "classes: give each its weight, in the order of data.json"
        )
    counts = np.bincount(dataset.train.labels, minlength=count)
    return KINDS[spec.name](counts, *spec.numbers).astype(np.float32)
