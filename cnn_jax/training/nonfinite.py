"""Steps that are not finite, on the device: held back before they spoil the state, and examined.

A held step leaves the carry as it was, but for the number of the step in its metrics; so do those
that follow it, until the host has looked (`recovery`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.core
import jax
import jax.numpy as jnp
import optax

from cnn_jax.data.loading.device_dataset import Batch, BatchSource
from cnn_jax.models.variables import merge
from cnn_jax.runtime import sharding
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training.metrics import NEVER
from cnn_jax.training.train_state import TrainState, finite, map_stats
from cnn_jax.training.train_step import TrainCarry, TrainStepSpec, gradients, join, preprocess
from cnn_jax.transfer.freezing import FreezePhase

Step = Callable[[TrainCarry, Batch], TrainCarry]


def held_back(step: Step) -> Step:
    """`step`, but where anything of its outcome is not finite, nothing is changed."""

    def held_step(carry: TrainCarry, batch: Batch) -> TrainCarry:
        # The barrier keeps the step's own program as it is, and with it the bits.
        new = jax.lax.optimization_barrier(step(carry, batch))
        before, after = (c.metrics.first_bad_step.value for c in (carry, new))
        held = before != NEVER
        bad = held | (after != NEVER) | ~finite(new.state).all()
        kept = jax.tree.map(lambda n, o: jnp.where(bad, o, n), new, carry)
        first = jnp.where(held, before, jnp.where(bad, carry.state.step + 1, NEVER))
        return with_bad_step(kept, first)

    return held_step


def with_bad_step(carry: TrainCarry, step: jax.Array) -> TrainCarry:
    """The carry with `step` as the first that was not finite, `NEVER` for none."""
    metrics: Any = carry.metrics
    mark = metrics.first_bad_step.replace(value=step.astype(jnp.int32))
    return carry._replace(metrics=metrics.replace(first_bad_step=mark))


def released(carry: TrainCarry) -> TrainCarry:
    """The held carry, so that its step can be made again."""
    return with_bad_step(carry, jnp.int32(NEVER))


def without_update(carry: TrainCarry) -> TrainCarry:
    """The carry after a step that changed no number; the rates of the schedule go on."""

    def advance(part: Any) -> Any:
        if isinstance(part, optax.ScaleByScheduleState):
            return part._replace(count=part.count + 1)
        return part

    state = carry.state
    opt_state = jax.tree.map(
        advance, state.opt_state, is_leaf=lambda s: isinstance(s, optax.ScaleByScheduleState)
    )
    state = state.replace(step=state.step + 1, opt_state=opt_state)
    return released(carry._replace(state=state))


def make_examination(
    spec: TrainStepSpec, phase: FreezePhase, devices: Devices, batch_size: int
) -> Callable[[TrainState, BatchSource], dict[str, Any]]:
    """What of the next step is not finite. (state, source of its batch) ->

    {"id" int32 [B], "loss" bool [B], "gradient": a tree of bool, "statistics": a tree of bool,
    "alone" bool [B]}; True is finite. "alone" is of loss and gradient of each example by itself,
    with the population statistics: BatchNorm spreads one that is not finite over its batch.
    """

    def examine(state: TrainState, source: BatchSource) -> dict[str, Any]:
        if devices.replicas > 1:
            state = map_stats(lambda s: s.mean(0), state)
        batch = source.batch(state.step, batch_size, devices.shard_batch)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        trainable, frozen = phase.partition(variables)
        frozen = join(frozen, state.frozen)
        examples = preprocess(spec, batch, state.step)
        key = jax.random.fold_in(rng_stream(spec.seed, "dropout"), state.step)
        grads, stats, figures = gradients(spec, trainable, frozen, examples, key, phase)
        fixed = join({"params": {}, "batch_stats": state.batch_stats}, state.frozen) or {}

        def loss(params: Any, example: Batch) -> jax.Array:
            one = jax.tree.map(lambda x: x[None], example)
            output = spec.apply(merge({"params": params}, fixed), one["image"], train=False)
            return spec.train_loss(output, one["target"])["loss"].mean()

        def alone(example: Batch) -> jax.Array:
            value, grads = jax.value_and_grad(loss)(state.params, example)
            return jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(grads))

        return {
            "id": batch["id"],
            "loss": jnp.isfinite(figures["loss"]),
            "gradient": all_finite(grads),
            "statistics": all_finite(stats),
            "alone": jax.lax.map(alone, examples),
        }

    return sharding.jit_once(examine, out_shardings=devices.replicated)


def all_finite(tree: Any) -> Any:
    return jax.tree.map(lambda x: jnp.isfinite(x).all(), flax.core.unfreeze(tree))
