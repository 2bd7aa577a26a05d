"""The pure steps, compiled over a run's devices."""

from __future__ import annotations

import bisect
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import clu.metrics
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

from cnn_jax.data.loading.device_dataset import Batch, BatchSource
from cnn_jax.models.layers import Output
from cnn_jax.models.variables import fill_tree
from cnn_jax.runtime import sharding
from cnn_jax.runtime.fresh_values import FreshValues
from cnn_jax.runtime.moves import moved
from cnn_jax.runtime.sharding import AXIS, Devices
from cnn_jax.training import metrics, net_checks
from cnn_jax.training.elastic import elastic_evaluation, elastic_step
from cnn_jax.training.eval_step import eval_step
from cnn_jax.training.net_checks import NetTrace
from cnn_jax.training.nonfinite import held_back
from cnn_jax.training.train_state import TrainState, finite, is_spec, map_stats
from cnn_jax.training.train_step import (
    TrainCarry,
    TrainStepSpec,
    init_state,
    train_step,
)
from cnn_jax.transfer.freezing import FreezePhase
from cnn_jax.transfer.initial_weights import InitialWeights

# (carry, source of batches, number of updates) -> (carry, a value to wait for): a jitted function
TrainSteps = Any


@dataclasses.dataclass(frozen=True)
class CompiledSteps:
    """The compiled functions of one run; state and metrics are donated to the training steps."""

    init: Callable[..., TrainCarry]  # (seed: that of the run)
    phases: tuple[TrainSteps, ...]  # one for each phase of the freeze plan
    first_steps: tuple[int, ...]  # of each phase
    evaluate: Callable[[TrainState, BatchSource], dict[str, jax.Array]]
    finite: Callable[[TrainState], jax.Array]  # bool, one for each leaf of `state.numbers`
    abstract: TrainCarry  # shapes, types and places of what `init` makes
    empty_metrics: Callable[[], clu.metrics.Collection]

    def train_steps(self, step: int) -> TrainSteps:
        """What goes on after `step` updates; a call stays within one phase and one epoch."""
        return self.phases[self.phase_at(step)]

    def phase_at(self, step: int) -> int:
        """The index of the phase after `step` updates."""
        return bisect.bisect_right(self.first_steps, step) - 1


def compile_steps(
    spec: TrainStepSpec,
    devices: Devices,
    batch_size: int,
    image_shape: tuple[int, ...],
    plateau: optax.GradientTransformationExtraArgs | None,
    initial_weights: InitialWeights | None = None,
    loop: bool = False,
    whitening: Mapping[str, np.ndarray] | None = None,
) -> CompiledSteps:
    """The steps over all devices; nothing is compiled before its first call.

    `init` gives the `initial_weights` and the kernel of `whitening`, by name, where there are any,
    and random ones elsewhere. In a `loop` a call of training makes any number of updates.
    """
    images = batch_size // (spec.microbatches * devices.replicas)
    traced = net_checks.trace(spec.model, image_shape, images)
    collection = metrics.train_metrics(figure_names(spec, traced))

    def init(seed: jax.Array) -> TrainCarry:
        state = init_state(spec, traced.fresh(seed), devices.replicas, plateau)
        return TrainCarry(state, collection.empty())

    if spec.shard_optimizer:
        update = dataclasses.replace(spec.update, whole=devices.replicated)
        spec = dataclasses.replace(spec, update=update)
    fresh = FreshValues(init)
    layout = Layout.of(fresh.shapes, devices, spec.shard_optimizer)

    def random_init(seed: int) -> TrainCarry:
        if jax.process_count() == 1:
            return moved(fresh(seed), layout.sharding)
        return sharding.jit_once(init, out_shardings=layout.sharding)(np.uint32(seed))

    def init_or_load(seed: int = spec.seed) -> TrainCarry:
        carry = random_init(seed)
        state = carry.state
        if initial_weights is not None:
            state = state.filled(initial_weights.fill)
        if whitening:
            state = state.filled(functools.partial(fill_tree, whitening))
        return carry._replace(state=state)

    return CompiledSteps(
        init=init_or_load,
        phases=tuple(
            compile_train_steps(spec, phase, devices, batch_size, layout, loop)
            for phase in spec.plan.phases
        ),
        first_steps=tuple(phase.first_step for phase in spec.plan.phases),
        evaluate=compile_evaluation(spec, devices, batch_size),
        finite=sharding.jit_once(finite, out_shardings=devices.replicated),
        abstract=layout.abstract,
        empty_metrics=sharding.jit_once(collection.empty, out_shardings=devices.replicated),
    )


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a carry lies on the devices; each field has the carry's structure."""

    specs: Any  # of each leaf, on the mesh
    sharding: Any
    abstract: TrainCarry  # shapes, types and places

    @classmethod
    def of(cls, shapes: TrainCarry, devices: Devices, shard_optimizer: bool = False) -> Layout:
        state = state_specs(shapes.state, devices.replicas)
        if shard_optimizer:
            divided = jax.tree.map(
                lambda leaf: longest_axis(leaf.shape, devices.count), shapes.state.opt_state
            )
            state = state.replace(opt_state=divided)
        specs = TrainCarry(state, jax.tree.map(lambda _: P(), shapes.metrics))
        places = jax.tree.map(
            lambda spec: jax.NamedSharding(devices.mesh, spec), specs, is_leaf=is_spec
        )
        abstract = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            shapes,
            places,
        )
        return cls(specs, places, abstract)

    def divide_optimizer(self, carry: TrainCarry) -> TrainCarry:
        """The carry with its optimizer's state as it lies between the steps, in a loop too."""
        places = self.sharding.state.opt_state
        divided = jax.lax.with_sharding_constraint(carry.state.opt_state, places)
        return carry._replace(state=carry.state.replace(opt_state=divided))


def compile_train_steps(
    spec: TrainStepSpec,
    phase: FreezePhase,
    devices: Devices,
    batch_size: int,
    layout: Layout,
    loop: bool,
) -> TrainSteps:
    """The updates of `phase`; they take the carry's memory.

    The loop is compiled once for any number of steps, so that a step's bits do not depend on how
    many were asked for together.
    """

    step = functools.partial(train_step, spec, phase=phase)

    def per_device_step(carry: TrainCarry, batch: Batch) -> TrainCarry:
        own = carry._replace(state=map_stats(lambda s: s[0], carry.state))
        own = step(own, batch, axis=AXIS)
        return own._replace(state=map_stats(lambda s: s[None], own.state))

    def elastic(carry: TrainCarry, batch: Batch) -> TrainCarry:
        return elastic_step(spec, devices, carry, batch, phase)

    own_step = {"pmap": per_device_step, "elastic": elastic}.get(devices.mode)
    step_on_devices: Callable[..., TrainCarry] = step
    if own_step and devices.replicas > 1:
        step_on_devices = jax.shard_map(
            own_step,
            mesh=devices.mesh,
            in_specs=(layout.specs, P(AXIS)),
            out_specs=layout.specs,
            check_vma=False,
        )
    if spec.on_nan != "stop":
        step_on_devices = held_back(step_on_devices)

    def train_steps(
        carry: TrainCarry, batches: BatchSource, num_steps: int
    ) -> tuple[TrainCarry, jax.Array]:
        def update(_: Any, carry: TrainCarry) -> TrainCarry:
            batch = batches.batch(carry.state.step, batch_size, devices.shard_batch)
            carry = step_on_devices(carry, batch)
            return layout.divide_optimizer(carry) if spec.shard_optimizer else carry

        if loop:
            carry = jax.lax.fori_loop(0, num_steps, update, carry)
        else:
            for i in range(num_steps):
                carry = update(i, carry)
        return carry, carry.state.step + 0  # a value of its own, to wait for

    return sharding.jit(
        train_steps,
        donate_argnums=0,
        static_argnums=() if loop else 2,
        out_shardings=(layout.sharding, devices.replicated),
    )


def compile_evaluation(
    spec: TrainStepSpec, devices: Devices, batch_size: int
) -> Callable[[TrainState, BatchSource], dict[str, jax.Array]]:
    """The figures of each example; of several replicas' statistics, by their mean."""

    def evaluate(state: TrainState, batches: BatchSource) -> dict[str, jax.Array]:
        batch = batches.batch(state.step, batch_size, devices.shard_batch)
        if devices.shards > 1:
            return jax.shard_map(
                functools.partial(elastic_evaluation, spec, devices),
                mesh=devices.mesh,
                in_specs=(state_specs(state, devices.replicas), P(AXIS)),
                out_specs=P(AXIS),
                check_vma=False,
            )(state, batch)
        if devices.replicas > 1:
            state = map_stats(lambda s: s.mean(0), state)
        return eval_step(spec, state.variables, batch)

    return sharding.jit_forward(evaluate, out_shardings=devices.replicated)


def figure_names(spec: TrainStepSpec, traced: NetTrace) -> list[str]:
    """The names of what a train step measures: they depend on the net's auxiliary heads."""

    def one_example() -> dict[str, jax.Array]:
        kind = jnp.int32 if spec.task.kind == "classification" else jnp.float32
        logits, label = jnp.zeros((1, traced.outputs)), jnp.zeros(1, kind)
        figures = spec.train_loss(Output(logits, (logits,) * traced.auxiliary), label)
        return figures | metrics.step_figures(spec.task, logits, label)

    return [*jax.eval_shape(one_example), "gradient_norm"]


def state_specs(state: TrainState, replicas: int) -> TrainState:
    """How each part of the state lies on the mesh: replicated, but statistics one a replica."""
    whole = jax.tree.map(lambda _: P(), state)
    return map_stats(lambda _: P(AXIS), whole) if replicas > 1 else whole


def longest_axis(shape: tuple[int, ...], count: int) -> P:
    """The longest axis that `count` devices divide, divided over them; whole where none is."""
    axes = [axis for axis, size in enumerate(shape) if size and size % count == 0]
    if not axes or count == 1:
        return P()
    axis = max(axes, key=lambda axis: shape[axis])
    return P(*[None] * axis, AXIS)
