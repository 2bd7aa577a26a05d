"""Losses: what the step minimises, one number an example."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Num
from ml_collections import ConfigDict

from cnn_jax.data.augment import MixedTargets
from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError, unknown
from cnn_jax.models.layers import Output

Outputs = Float[Array, "b k"]
PerExample = Float[Array, " b"]
ExampleLoss = Callable[[Outputs, Outputs], PerExample]  # (outputs, targets)


J = 0.1  # of lecun1998, where the config leaves it open


def softmax_cross_entropy(outputs: Outputs, targets: Outputs) -> PerExample:
    """-sum_k t_k log softmax(outputs)_k."""
    return optax.softmax_cross_entropy(outputs, targets)


def binary_cross_entropy(outputs: Outputs, targets: Outputs) -> PerExample:
    """One sigmoid for each output, mean over the outputs."""
    return optax.sigmoid_binary_cross_entropy(outputs, targets).mean(-1)


def mean_squared(outputs: Outputs, targets: Outputs) -> PerExample:
    """Mean over the outputs of (output - target) ** 2."""
    return jnp.square(outputs - targets).mean(-1)


def mean_absolute(outputs: Outputs, targets: Outputs) -> PerExample:
    """Mean over the outputs of |output - target|."""
    return jnp.abs(outputs - targets).mean(-1)


def lecun1998(outputs: Outputs, targets: Outputs, j: float = J) -> PerExample:
    """y_D + log(exp(-j) + sum_k exp(-y_k)), with penalties y = -outputs (LeCun et al. 1998, eq. 9).

    The constant j keeps the penalties of classes that are already far from growing further: one
    over j hardly does. The paper says that it is positive, and not how large.
    """
    others = jnp.concatenate([outputs, jnp.full_like(outputs[:, :1], -j)], -1)
    return jax.nn.logsumexp(others, -1) - (outputs * targets).sum(-1)


LOSSES: dict[str, ExampleLoss] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mean_squared": mean_squared,
    "mean_absolute": mean_absolute,
    "lecun1998": lecun1998,
}
FOR_CLASSES_ONLY = ("softmax_cross_entropy", "binary_cross_entropy", "lecun1998")


def make_loss(
    config: ConfigDict, task: Task, class_weights: np.ndarray | None = None
) -> Callable[[Output, jax.Array | MixedTargets], dict]:
    """(Output, labels [B]) -> {"loss": [B], "auxiliary_loss_1": [B], ...}.

    `loss` is the main loss plus each auxiliary head's, times its own weight. Class labels become
    one-hot targets, smoothed by `label_smoothing`; a regression label is standardised. Of
    `MixedTargets` every figure is lam * that of the label + (1 - lam) * that of the partner. With
    `class_weights` [K] the loss of an example is times that of its class, its parts are not.
    """
    c = config.loss
    if c.name not in LOSSES:
        raise unknown("loss.name", c.name, LOSSES)
    if task.kind == "regression" and c.name in FOR_CLASSES_ONLY:
        choices = [name for name in LOSSES if name not in FOR_CLASSES_ONLY]
        raise UserError(
            f"loss.name={c.name!r} is for classes, but {config.data.name} has numbers as targets; "
            f"choices: {', '.join(choices)}"
        )
    of = LOSSES[c.name]
    if (j := c.get("j")) is not None:
        check_constant(c)
        of = functools.partial(lecun1998, j=j)
    targets = functools.partial(make_targets, task=task, smoothing=c.label_smoothing)
    weights = tuple(c.auxiliary_weights)

    def loss(output: Output, labels: jax.Array | MixedTargets) -> dict[str, jax.Array]:
        if isinstance(labels, MixedTargets):
            own, other = loss(output, labels.label), loss(output, labels.partner)
            mix = lambda a, b: labels.lam * a + (1 - labels.lam) * b  # noqa: E731
            return jax.tree.map(mix, own, other)
        if len(output.auxiliary) > len(weights):
            raise UserError(
                f"loss.auxiliary_weights={weights} has {len(weights)} entries, but the net has "
                f"{len(output.auxiliary)} auxiliary heads: give each its weight"
            )
        wanted = targets(labels, output.logits.shape[-1])
        total = of(output.logits.astype(jnp.float32), wanted)
        parts = {}
        for i, (logits, weight) in enumerate(zip(output.auxiliary, weights, strict=False), 1):
            parts[f"auxiliary_loss_{i}"] = of(logits.astype(jnp.float32), wanted)
            total = total + weight * parts[f"auxiliary_loss_{i}"]
        if class_weights is not None:
            total = total * jnp.asarray(class_weights)[labels]
        return {"loss": total, **parts}

    return loss


def smallest_loss(name: str, smoothing: float, outputs: int) -> float:
    """What the loss of an example cannot fall below: the entropy of its smoothed target.

    0 where it is not known.
    """
    if not smoothing or name not in ("softmax_cross_entropy", "binary_cross_entropy"):
        return 0.0
    other = smoothing / outputs  # the target of each wrong class
    right = 1 - smoothing + other
    if name == "softmax_cross_entropy":
        return -right * math.log(right) - (outputs - 1) * other * math.log(other)
    entropies = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (right, other) if 0 < p < 1]
    return (entropies[0] + (outputs - 1) * entropies[-1]) / outputs if entropies else 0.0


def make_targets(
    labels: Num[Array, " b"], outputs: int, task: Task, smoothing: float
) -> Float[Array, "b {outputs}"]:
    """[B] -> [B, outputs]: smoothed one-hot classes, or standardised numbers."""
    if task.kind == "regression":
        return ((labels - task.mean) / task.std)[:, None]
    return optax.smooth_labels(jax.nn.one_hot(labels, outputs), smoothing)


def check_constant(c: ConfigDict) -> None:
    """Raises `UserError` where `loss.j` is of no loss that is chosen."""
    if c.get("j") is not None and c.name != "lecun1998":
        raise UserError(f"loss.j={c.j}: loss.name={c.name!r} has no such constant; leave it out")
