"""The programs of a run: the pure steps, compiled over its devices."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable
from typing import Any

import clu.metrics
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

from cnn_jax.data.loading.device_dataset import Batch, BatchSource
from cnn_jax.models.variables import init_variables
from cnn_jax.runtime import sharding
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.rng_streams import named_key
from cnn_jax.runtime.sharding import AXIS, Devices
from cnn_jax.training import metrics
from cnn_jax.training.train_state import TrainState, finite
from cnn_jax.training.train_step import Carry, Recipe, eval_step, gradients, init_state, train_step
from cnn_jax.transfer.freezing import FreezePhase
from cnn_jax.transfer.initial_weights import InitialWeights

Program = Callable[[Carry, BatchSource, int], tuple[Carry, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Steps:
    """The compiled functions of one run; state and metrics are donated to `train`."""

    init: Callable[..., Carry]  # (seed: that of the run)
    programs: tuple[Program, ...]  # of training, one a phase
    starts: tuple[int, ...]  # the first step of each
    evaluate: Callable[[TrainState, BatchSource], dict[str, jax.Array]]
    finite: Callable[[TrainState], jax.Array]  # bool, one for each leaf of `state.numbers`
    abstract: Carry  # shapes, types and places of what `init` makes
    empty_metrics: Callable[[], clu.metrics.Collection]

    def train(
        self, carry: Carry, source: BatchSource, step: int = 0, count: int = 1
    ) -> tuple[Carry, jax.Array]:
        """`count` updates after `step` others: (what became of the carry, a value to wait for).

        They must be of one phase and one epoch; their number is free only in a compiled loop.
        """
        return self.programs[bisect.bisect_right(self.starts, step) - 1](carry, source, count)


def compile_steps(
    recipe: Recipe,
    devices: Devices,
    clock: Clock,
    image_shape: tuple[int, ...],
    plateau: optax.GradientTransformationExtraArgs | None,
    initial_weights: InitialWeights | None = None,
    loop: bool = False,
) -> Steps:
    """The steps over all devices; nothing is compiled before its first call.

    With `initial_weights`, `init` gives these where it has any, and fresh ones elsewhere. In a
    `loop`, training makes several updates a call.
    """
    collection = metrics.train_metrics(figure_names(recipe, image_shape))

    def init(seed: jax.Array) -> Carry:
        state = init_state(recipe, seed, image_shape, devices.replicas, plateau)
        return state, collection.empty()

    layout = Layout.of(init, devices)
    fresh = sharding.jit_once(init, out_shardings=layout.sharding)

    def begin(seed: int = recipe.seed) -> Carry:
        state, running = fresh(np.uint32(seed))
        return state if initial_weights is None else state.filled(initial_weights.fill), running

    everywhere = devices.everywhere
    phases = recipe.plan.phases
    return Steps(
        init=begin,
        programs=tuple(train_program(recipe, p, devices, clock, layout, loop) for p in phases),
        starts=tuple(phase.first_step for phase in phases),
        evaluate=eval_program(recipe, devices, clock),
        finite=sharding.jit_once(finite, out_shardings=everywhere),
        abstract=layout.abstract,
        empty_metrics=sharding.jit_once(collection.empty, out_shardings=everywhere),
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a carry lies on the devices; each field has the carry's structure."""

    specs: Any  # of each leaf, on the mesh
    sharding: Any
    abstract: Carry  # shapes, types and places

    @classmethod
    def of(cls, init: Callable[[np.uint32], Carry], devices: Devices) -> Layout:
        shapes = jax.eval_shape(init, np.uint32(0))
        specs = specs_of(shapes[0], devices.replicas), jax.tree.map(lambda _: P(), shapes[1])
        sharding = jax.tree.map(
            lambda spec: jax.NamedSharding(devices.mesh, spec), specs, is_leaf=is_spec
        )
        abstract = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            shapes,
            sharding,
        )
        return cls(specs, sharding, abstract)


def train_program(
    recipe: Recipe, phase: FreezePhase, devices: Devices, clock: Clock, layout: Layout, loop: bool
) -> Program:
    """Steps of training in `phase`; they take the carry's memory.

    The loop is compiled once for any number of steps, so that a step's bits do not depend on how
    many were asked for together.
    """

    def whole(carry: Carry, batch: Batch) -> Carry:
        return train_step(recipe, carry, batch, phase=phase)

    def on_one_device(carry: Carry, batch: Batch) -> Carry:
        state, running = carry
        state = map_stats(lambda s: s[0], state)
        state, running = train_step(recipe, (state, running), batch, AXIS, phase)
        return map_stats(lambda s: s[None], state), running

    update = whole
    if devices.replicas > 1:
        update = jax.shard_map(
            on_one_device,
            mesh=devices.mesh,
            in_specs=(layout.specs, P(AXIS)),
            out_specs=layout.specs,
            check_vma=False,
        )

    def once(carry: Carry, source: BatchSource) -> Carry:
        return update(carry, source.batch(carry[0].step, clock.batch_size, devices.place))

    def train(carry: Carry, source: BatchSource, count: int = 1) -> tuple[Carry, jax.Array]:
        if loop:
            carry = jax.lax.fori_loop(0, count, lambda _, carry: once(carry, source), carry)
        else:
            carry = once(carry, source)
        return carry, carry[0].step + 0  # a value of its own, to wait for

    out = layout.sharding, devices.everywhere
    compiled = sharding.jit(train, donate_argnums=0, out_shardings=out)
    if loop:
        return lambda carry, source, count: compiled(carry, source, np.int32(count))

    def one(carry: Carry, source: BatchSource, count: int) -> tuple[Carry, jax.Array]:
        if count != 1:
            raise ValueError(f"{count} updates at once need a compiled loop")
        return compiled(carry, source)

    return one


def eval_program(
    recipe: Recipe, devices: Devices, clock: Clock
) -> Callable[[TrainState, BatchSource], dict[str, jax.Array]]:
    """The figures of each example; of several replicas' statistics, by their mean."""

    def evaluate(state: TrainState, source: BatchSource) -> dict[str, jax.Array]:
        if devices.replicas > 1:
            state = map_stats(lambda s: s.mean(0), state)
        batch = source.batch(state.step, clock.batch_size, devices.place)
        return eval_step(recipe, state.variables, batch)

    return sharding.jit_forward(evaluate, out_shardings=devices.everywhere)


def figure_names(recipe: Recipe, image_shape: tuple[int, ...]) -> list[str]:
    """The names of what a train step measures: they depend on the net's auxiliary heads."""

    def one_step() -> dict[str, jax.Array]:
        variables = init_variables(recipe.model, recipe.seed, image_shape)
        kind = jnp.int32 if recipe.task.kind == "classification" else jnp.float32
        count = recipe.microbatches
        images, labels = jnp.zeros((count, *image_shape)), jnp.zeros(count, kind)
        batch = {"image": images, "label": labels, "target": labels}
        params, stats = variables["params"], variables["batch_stats"]
        return gradients(recipe, params, stats, batch, named_key(0, "dropout"))[2]

    return [*jax.eval_shape(one_step), "gradient_norm"]


def specs_of(state: TrainState, replicas: int) -> TrainState:
    """How each part of the state lies on the mesh: replicated, but statistics one a replica."""
    whole = jax.tree.map(lambda _: P(), state)
    return map_stats(lambda _: P(AXIS), whole) if replicas > 1 else whole


def is_spec(value: Any) -> bool:
    return isinstance(value, P)


def map_stats(function: Callable[[Any], Any], state: TrainState) -> TrainState:
    """The state with `function` applied to every BatchNorm statistic."""
    change = lambda tree: jax.tree.map(function, tree, is_leaf=is_spec)  # noqa: E731
    average = state.average
    if average is not None:
        average = {**average, "batch_stats": change(average["batch_stats"])}
    return state.replace(batch_stats=change(state.batch_stats), average=average)
