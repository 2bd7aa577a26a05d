"""A training step as Flax's ImageNet example has it, by shapes alone.

Images arrive normalised, in the type of the computation; the loss is softmax cross-entropy with
half of 1e-4 times the squares of all weights that are no vectors; momentum is optax.sgd's. The
example maps its step over devices (`pmap`); here `jit` shares the batch out, as our step does, so
that both have the whole batch's BatchNorm.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training import train_state

from cnn_jax.runtime.sharding import Devices

CLASSES = 1000
DECAY = 1e-4
HEAD_WEIGHTS = (0.3, 0.3)  # of auxiliary classifiers


class TrainState(train_state.TrainState):
    batch_stats: Any


def train_step(
    state: TrainState, batch: dict[str, jax.Array], key: jax.Array
) -> tuple[TrainState, dict[str, jax.Array]]:
    """(the next state, mean loss and accuracy)."""

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        outputs, changed = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            batch["image"],
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(key, state.step)},
        )
        logits, *heads = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = cross_entropy(logits, batch["label"])
        total = loss + DECAY / 2 * sum((w**2).sum() for w in jax.tree.leaves(params) if w.ndim > 1)
        for weight, head in zip(HEAD_WEIGHTS, heads, strict=False):
            total += weight * cross_entropy(head, batch["label"])
        return total, (changed["batch_stats"], logits, loss)

    grads, (statistics, logits, loss) = jax.grad(loss_of, has_aux=True)(state.params)
    accuracy = (logits.argmax(-1) == batch["label"]).mean()
    state = state.apply_gradients(grads=grads, batch_stats=statistics)
    return state, {"loss": loss, "accuracy": accuracy}


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    one_hot = jax.nn.one_hot(labels, CLASSES)
    return optax.softmax_cross_entropy(logits=logits, labels=one_hot).mean()


def abstract_state(model: nn.Module, size: int, devices: Devices) -> TrainState:
    """Of shapes, whole on every device."""

    def start() -> TrainState:
        images = jnp.zeros((1, size, size, 3))
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
        variables = model.init(keys, images)
        return TrainState.create(
            apply_fn=model.apply,
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            tx=optax.sgd(optax.cosine_decay_schedule(0.1, 100_000), momentum=0.9),
        )

    place = devices.replicated
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), jax.eval_shape(start)
    )


def lowered(
    model: nn.Module, batch_size: int, size: int, dtype: Any, devices: Devices
) -> tuple[Any, int]:
    """(`jax.stages.Lowered` of the step that gives its state's memory to the next, parameters)."""
    state = abstract_state(model, size, devices)
    split, whole = devices.batch_sharding, devices.replicated
    batch = {
        "image": jax.ShapeDtypeStruct((batch_size, size, size, 3), dtype, sharding=split),
        "label": jax.ShapeDtypeStruct((batch_size,), jnp.int32, sharding=split),
    }
    key = jax.eval_shape(lambda: jax.random.key(0))
    key = jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=whole)
    step = jax.jit(train_step, donate_argnums=0, out_shardings=whole)
    return step.lower(state, batch, key), sum(x.size for x in jax.tree.leaves(state.params))
