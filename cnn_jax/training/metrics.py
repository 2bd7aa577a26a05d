"""What is measured: running means on the device while training, exact figures when evaluating."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from cnn_jax.data.dataset import Task

NEVER = np.iinfo(np.int32).max
NORMAL_95 = 1.959963984540054  # standard deviations within which 95 % of a normal variable lies
TOP_LOSSES = 16  # examples that a report names


@flax.struct.dataclass
class FirstBadStep(clu.metrics.Metric):
    """The number of the first step whose loss or gradient was not finite; `NEVER` if none was."""

    value: Any  # int32 []; shapes alone where nothing is computed

    @classmethod
    def empty(cls) -> FirstBadStep:
        return cls(value=jnp.int32(NEVER))

    @classmethod
    def from_model_output(
        cls, *, step: jax.Array, loss: jax.Array, gradient_norm: jax.Array, **_: Any
    ) -> FirstBadStep:
        fine = jnp.isfinite(loss).all() & jnp.isfinite(gradient_norm)
        return cls(value=jnp.where(fine, NEVER, step).astype(jnp.int32))

    def merge(self, other: FirstBadStep) -> FirstBadStep:
        return type(self)(value=jnp.minimum(self.value, other.value))

    def compute(self) -> jax.Array:
        return self.value


def train_metrics(names: Iterable[str]) -> type[clu.metrics.Collection]:
    """The running means of the named step outputs, and the first step that went wrong."""
    means = {name: clu.metrics.Average.from_output(name) for name in names}
    return clu.metrics.Collection.create(first_bad_step=FirstBadStep, **means)


def sums(collection: clu.metrics.Collection) -> dict[str, tuple[float, int]]:
    """{name: (total, count)} of the running means, on the host."""
    host = jax.device_get(collection)
    return {
        name: (float(metric.total), int(metric.count))
        for name, metric in vars(host).items()
        if isinstance(metric, clu.metrics.Average)
    }


def step_figures(
    task: Task, logits: Float[Array, "b k"], labels: Num[Array, " b"]
) -> dict[str, Num[Array, " b"]]:
    """The figure beside the loss while training, one number an example."""
    if task.kind == "classification":
        return {"accuracy": (logits.argmax(-1) == labels).astype(jnp.float32)}
    return {"mean_absolute_error": jnp.abs(logits[:, 0] * task.std + task.mean - labels)}


def example_figures(
    task: Task, logits: Float[Array, "b k"], labels: Num[Array, " b"]
) -> dict[str, Num[Array, " b"]]:
    """What evaluation keeps of every example.

    For classes: the predicted one, and the `rank` of the true one, 0 for a hit; ties go to the
    lower class, as in argmax, and logits that are not finite rank last. For numbers: the value.
    """
    logits = logits.astype(jnp.float32)
    if task.kind == "regression":
        return {"prediction": logits[:, 0] * task.std + task.mean}
    own = jnp.take_along_axis(logits, labels[:, None], -1)
    lower = jnp.arange(logits.shape[-1])[None] < labels[:, None]
    rank = ((logits > own) | ((logits == own) & lower)).sum(-1)
    rank = jnp.where(jnp.isfinite(logits).all(-1), rank, logits.shape[-1])
    return {"prediction": logits.argmax(-1).astype(jnp.int32), "rank": rank.astype(jnp.int32)}


def summarise(task: Task, examples: dict[str, np.ndarray]) -> dict[str, float]:
    """The exact figures of a split from its per-example arrays, in float64."""
    out = {"loss": float(np.mean(examples["loss"], dtype=np.float64))}
    if task.kind == "classification":
        out["accuracy"] = float(np.mean(examples["rank"] == 0))
        if len(task.classes) > 5:
            out["top5_accuracy"] = float(np.mean(examples["rank"] < 5))
        return out
    error = examples["prediction"].astype(np.float64) - examples["label"]
    variance = np.var(examples["label"].astype(np.float64))
    return out | {
        "mean_absolute_error": float(np.abs(error).mean()),
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
        "r2": float(1 - (error**2).mean() / variance) if variance else float("nan"),
    }


def selection_metric(task: Task, figures: dict[str, float]) -> tuple[float, float]:
    """What decides which checkpoint is best, larger first: accuracy or error, then the loss."""
    main = figures["accuracy"] if task.kind == "classification" else -figures["mean_absolute_error"]
    return main, -figures["loss"]


def report(task: Task, examples: dict[str, np.ndarray]) -> dict[str, Any]:
    """`summarise`, and for classes the per-class figures and the confusion matrix (rows: truth)."""
    out: dict[str, Any] = {"examples": len(examples["label"]), **summarise(task, examples)}
    if task.kind == "regression":
        return out | {"unit": task.unit}
    from sklearn.metrics import confusion_matrix

    truth, predicted = examples["label"], examples["prediction"]
    labels = np.arange(len(task.classes))
    present = np.unique(truth)  # no recall was measured of the others
    by_class = zip(task.classes, class_figures(truth, predicted, labels, None), strict=True)
    for name in ("accuracy", "top5_accuracy"):
        if name in out:
            out[f"{name}_interval"] = wilson_interval(out[name], len(truth))
    return out | {
        "macro_average": class_figures(truth, predicted, present, "macro")[0],
        "weighted_average": class_figures(truth, predicted, labels, "weighted")[0],
        "classes": {name: row | recall_interval(row) for name, row in by_class},
        "confusion_matrix": confusion_matrix(truth, predicted, labels=labels).tolist(),
    }


def wilson_interval(share: float, count: float, z: float = NORMAL_95) -> list[float]:
    """[low, high], the interval of a share of `count` examples, by default 95 % (Wilson 1927)."""
    if not count:
        return [0.0, 1.0]
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) * z
    half /= 1 + z * z / count
    return [max(0.0, middle - half), min(1.0, middle + half)]


def half_width(share: float, count: float, z: float = NORMAL_95) -> float:
    """Half of `wilson_interval`: what is written after a ±."""
    low, high = wilson_interval(share, count, z)
    return (high - low) / 2


def recall_interval(row: dict[str, float]) -> dict[str, list[float]]:
    return {"recall_interval": wilson_interval(row["recall"], row["support"])}


def top_losses(
    task: Task, examples: dict[str, np.ndarray], name_of: Callable[[int], str]
) -> list[dict[str, Any]]:
    """The examples with the largest losses, the largest first; `name_of` names a row."""
    losses = np.nan_to_num(examples["loss"].astype(np.float64), nan=np.inf)
    rows = np.argsort(-losses, kind="stable")[:TOP_LOSSES]

    def shown(value: Any) -> str | float:
        classified = task.kind == "classification"
        return task.classes[int(value)] if classified else round(float(value), 4)

    return [
        {
            "image": name_of(int(row)),
            "row": int(row),  # of the split
            "label": shown(examples["label"][row]),
            "predicted": shown(examples["prediction"][row]),
            "loss": float(examples["loss"][row]) + 0.0,  # no -0.0
        }
        for row in rows
    ]


def class_figures(
    truth: np.ndarray, predicted: np.ndarray, labels: np.ndarray, average: Any
) -> list[dict[str, float]]:
    """Precision, recall, F1 and support of each of `labels`, or their average alone."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        truth, predicted, labels=labels, average=average, zero_division=0.0
    )
    support = len(truth) if columns[3] is None else columns[3]
    names = ("precision", "recall", "f1-score", "support")
    rows = zip(*(np.atleast_1d(c).tolist() for c in (*columns[:3], support)), strict=True)
    return [dict(zip(names, map(float, row), strict=True)) for row in rows]
