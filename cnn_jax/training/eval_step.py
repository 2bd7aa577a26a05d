"""The pure evaluation step."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cnn_jax.data.loading.device_dataset import Batch
from cnn_jax.models.layers import Output
from cnn_jax.training import metrics
from cnn_jax.training.train_step import TrainStepSpec, Variables


def eval_step(spec: TrainStepSpec, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
    """Per-example loss, figures and label, without augmentation, by population statistics."""
    if isinstance(batch["image"], tuple):
        output = Output(mean_of_views(spec, variables, batch["image"]))
    else:
        images = spec.normalise(batch["image"].astype(jnp.float32))
        output = spec.apply(variables, images, train=False)
    loss = spec.loss(output, batch["label"])["loss"]
    figures = metrics.example_figures(spec.task, output.logits, batch["label"])
    return {"loss": loss, "label": batch["label"], "id": batch["id"], **figures}


def mean_of_views(
    spec: TrainStepSpec, variables: Variables, groups: tuple[jax.Array, ...]
) -> jax.Array:
    """Logarithms of the mean class probabilities [B, K] over all views and their mirror images.

    `groups` are uint8 [B, k, S, S, C], one a size.
    """
    spec, total, views = spec.of_views(), 0.0, 0
    for group in groups:
        examples, count = group.shape[:2]
        images = jnp.stack([group, group[:, :, :, ::-1]], axis=2).astype(jnp.float32)
        images = spec.normalise(images.reshape(-1, *group.shape[2:]))
        logits = spec.apply(variables, images, train=False).logits
        probabilities = jax.nn.softmax(logits.astype(jnp.float32))
        total += probabilities.reshape(examples, 2 * count, -1).sum(1)
        views += 2 * count
    return jnp.log(jnp.maximum(total / views, 1e-38))
