"""The pure evaluation step."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cnn_jax.data.loading.device_dataset import Batch
from cnn_jax.models.layers import Output
from cnn_jax.training import metrics
from cnn_jax.training.train_step import TrainStepSpec, Variables

OUTPUTS = "outputs"  # of the net, which an evaluation keeps where it is asked to


def eval_step(spec: TrainStepSpec, variables: Variables, batch: Batch) -> dict[str, jax.Array]:
    """Per-example loss, figures, label and outputs [B, K], without augmentation.

    By population statistics.
    """
    if isinstance(batch["image"], tuple):
        views = spec.of_views()

        def logits(images: jax.Array) -> jax.Array:
            return views.apply(variables, views.normalise(images), train=False).logits

        output = Output(mean_of_views(logits, batch["image"]))
    else:
        images = spec.normalise(batch["image"].astype(jnp.float32))
        output = spec.apply(variables, images, train=False)
    loss = spec.loss(output, batch["label"])["loss"]
    figures = metrics.example_figures(spec.task, output.logits, batch["label"])
    kept = {"loss": loss, "label": batch["label"], "id": batch["id"], **figures}
    return kept | {OUTPUTS: output.logits.astype(jnp.float32)}


def mean_of_views(
    logits: Callable[[jax.Array], jax.Array], groups: tuple[jax.Array, ...]
) -> jax.Array:
    """Logarithms of the mean class probabilities [B, K] over all views and their mirror images.

    `groups` are uint8 [B, k, S, S, C], one a size; `logits` takes float32 grey levels [N, S, S, C].
    """
    total, views = 0.0, 0
    for group in groups:
        examples, count = group.shape[:2]
        images = jnp.stack([group, group[:, :, :, ::-1]], axis=2).astype(jnp.float32)
        answers = logits(images.reshape(-1, *group.shape[2:]))
        probabilities = jax.nn.softmax(answers.astype(jnp.float32))
        total += probabilities.reshape(examples, 2 * count, -1).sum(1)
        views += 2 * count
    return jnp.log(jnp.maximum(total / views, 1e-38))
