"""Steps whose bits do not depend on the number of devices: `config.parallel = "elastic"`.

The batch is cut into `shards`, always as many, and each is worked on by itself, with its own
BatchNorm statistics: by one device one after another, by as many devices one each. Gradients are
added in the order of a binary tree over the shards, whose lower part is within a device and whose
upper part between devices, so that the same numbers are added in pairs wherever they lie.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.data.loading.device_dataset import Batch
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import target
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.runtime.sharding import AXIS, Devices
from cnn_jax.training.eval_step import eval_step
from cnn_jax.training.train_state import TrainState, map_stats
from cnn_jax.training.train_step import (
    TrainCarry,
    TrainStepSpec,
    gradients,
    join,
    preprocess,
    updated,
)
from cnn_jax.transfer.freezing import FreezePhase

# (index of the shard on its device, its part of each array) -> what it makes of them
OfShard = Callable[[jax.Array, Any], Any]


def elastic_step(
    spec: TrainStepSpec, devices: Devices, carry: TrainCarry, batch: Batch, phase: FreezePhase
) -> TrainCarry:
    """One update, as each device makes it of its shards; `carry` has their statistics [n, ...]."""
    state = carry.state
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    trainable, frozen_now = phase.partition(variables)
    key = jax.random.fold_in(rng_stream(spec.seed, "dropout"), state.step)
    local = devices.shards // devices.count
    first = jax.lax.axis_index(AXIS) * local

    def of_shard(index: jax.Array, own: Any) -> Any:
        part, stats, fixed_stats = own
        mine = {"params": trainable["params"], "batch_stats": stats}
        fixed = {"params": frozen_now["params"], "batch_stats": fixed_stats}
        examples = preprocess(spec, part, state.step)
        own_key = jax.random.fold_in(key, first + index)
        frozen = join(fixed, state.frozen)
        return gradients(spec, mine, frozen, examples, own_key, phase)

    parts = jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)
    arrays = (parts, trainable["batch_stats"], frozen_now["batch_stats"])
    grads, stats, figures = over_shards(of_shard, local, arrays, state.step)
    grads = jax.tree.map(lambda g: tree_mean(g, devices), grads)
    figures = jax.tree.map(lambda x: x.reshape(-1), figures)
    figures = jax.lax.all_gather(figures, AXIS, tiled=True)
    update = lambda carry, *found: updated(spec, carry, phase, *found)  # noqa: E731
    return sealed(update, state.step, carry, frozen_now, grads, stats, figures)


def elastic_evaluation(
    spec: TrainStepSpec, devices: Devices, state: TrainState, batch: Batch
) -> dict[str, jax.Array]:
    """`eval_step` of the device's shards, by the mean of all shards' statistics."""
    local = devices.shards // devices.count
    state = map_stats(lambda s: tree_mean(s, devices), state)
    parts = jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)
    figures = over_shards(
        lambda _, part: eval_step(spec, state.variables, part), local, parts, state.step
    )
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), figures)


def over_shards(function: OfShard, count: int, arrays: Any, step: jax.Array) -> Any:
    """The outcomes of all shards on this device, stacked; each by the same program.

    On the CPU one after another, for a loop is slow there; elsewhere a loop, of a length that no
    compiler knows: one of a single round would be another program.
    """

    def one(index: Any, arrays: Any) -> Any:
        own = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, index, 0, False), arrays)
        with target.compiled_for(target.platform(), 1):  # it is of one device, and of no mesh
            return sealed(function, step, index, own)

    if target.platform() == "cpu":
        found = [one(jnp.int32(index), arrays) for index in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)
    shapes = jax.eval_shape(lambda: one(jnp.int32(0), arrays))
    empty = jax.tree.map(lambda s: jnp.zeros((count, *s.shape), s.dtype), shapes)

    def put(index: jax.Array, stacks: Any) -> Any:
        place = functools.partial(jax.lax.dynamic_update_index_in_dim, index=index, axis=0)
        return jax.tree.map(lambda stack, new: place(stack, new), stacks, one(index, arrays))

    return jax.lax.fori_loop(0, count + (step < 0), put, empty)


def sealed(function: Callable[..., Any], step: jax.Array, *arguments: Any) -> Any:
    """`function(*arguments)` as a program that is compiled by itself, whatever stands beside it.

    A compiler fuses operations with their neighbours, and then a product with a sum into one that
    is rounded once. It does not know that a step is never negative.
    """
    shapes = jax.eval_shape(function, *arguments)
    nothing = lambda *_: jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)  # noqa: E731
    return jax.lax.cond(step >= 0, function, nothing, *arguments)


def tree_mean(values: Tree, devices: Devices) -> jax.Array:
    """[n, ...] on each device -> the mean [...] of all shards, the same on every device.

    Pairs are added, then pairs of these; between devices each adds its partner's to its own, and
    a + b is b + a.
    """
    while values.shape[0] > 1:
        values = values[0::2] + values[1::2]
    total, distance = values[0], 1
    while distance < devices.count:
        pairs = [(i, i ^ distance) for i in range(devices.count)]
        total = total + jax.lax.ppermute(total, AXIS, pairs)
        distance *= 2
    return total / devices.shards
