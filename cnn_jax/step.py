"""The pure train and eval steps, and how they run over the devices."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable
from typing import Any

import clu.metrics
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from cnn_jax import losses, metrics, optim, parallel
from cnn_jax.clock import Clock
from cnn_jax.data import augment, preprocess
from cnn_jax.data.augment.compose import Augment
from cnn_jax.data.dataset import Dataset, Task
from cnn_jax.data.memory import Batch, Source
from cnn_jax.models.layers import Output
from cnn_jax.parallel import AXIS, Devices
from cnn_jax.state import TrainState, Tree, init_variables, merge, named_key
from cnn_jax.transfer.freezing import NOTHING_HELD, TRAIN_ALL, Phase, Plan
from cnn_jax.transfer.start import Start

Carry = tuple[TrainState, clu.metrics.Collection]
Program = Callable[[Carry, Source], tuple[Carry, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that a step is made of; nothing in it changes while training."""

    model: nn.Module
    task: Task
    loss: Callable[..., dict[str, jax.Array]]
    optimizer: optax.GradientTransformation
    normalise: Callable[[jax.Array], jax.Array]
    augment: Augment
    seed: int
    microbatches: int
    average_decay: float
    plan: Plan = TRAIN_ALL  # what holds still, and until when
    view_model: nn.Module | None = None  # for views of a protocol, where it is another


def make_recipe(
    config: ConfigDict,
    model: nn.Module,
    dataset: Dataset,
    schedule: optax.Schedule,
    plan: Plan = TRAIN_ALL,
) -> Recipe:
    """The parts that the config names."""
    return Recipe(
        model=model,
        task=dataset.task,
        loss=losses.make_loss(config, dataset.task),
        optimizer=optim.make_optimizer(config, schedule, plan.starts, plan.rates),
        normalise=preprocess.normaliser(config.data.normalisation, dataset.train.images),
        augment=augment.compose(config.augment, dataset.train.images, dataset.task),
        seed=config.seed,
        microbatches=config.accumulate,
        average_decay=config.average_decay,
        plan=plan,
    )


def init_state(
    recipe: Recipe, seed: jax.Array, image_shape: tuple[int, ...], replicas: int, plateau: Any
) -> TrainState:
    """The state before the first step, a pure function of the seed."""
    variables, frozen = recipe.plan.never.divide(init_variables(recipe.model, seed, image_shape))
    params, stats = variables["params"], variables["batch_stats"]
    if replicas > 1:
        stats = jax.tree.map(lambda s: jnp.broadcast_to(s, (replicas, *s.shape)), stats)
    average = {"params": params, "batch_stats": stats} if recipe.average_decay else None
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=stats,
        opt_state=recipe.optimizer.init(params),
        average=jax.tree.map(jnp.copy, average),
        plateau=None if plateau is None else plateau.init(params),
        frozen=frozen if jax.tree.leaves(frozen) else None,
    )


def gradients(
    recipe: Recipe,
    params: Tree,
    stats: Tree,
    batch: Batch,
    key: jax.Array,
    held: dict[str, Tree] | None = None,
    phase: Phase = NOTHING_HELD,
) -> tuple[Tree, Tree, dict[str, jax.Array]]:
    """(gradients, new batch_stats, figures [B] by name) of the mean loss over the batch.

    The loss is of the batch's "target", the figures beside it of its "label".
    With several microbatches, the gradients are their mean and the statistics move once for each.
    `held` are the net's other variables, those that hold still in this `phase`: no derivative by
    them is taken, and what lies before the first of `params` has no backward pass.
    """
    parts = recipe.microbatches

    def mean_loss(params: Tree, stats: Tree, part: Batch, key: jax.Array):
        variables = {"params": params, "batch_stats": stats}
        with phase.population_norms():
            output, changed = recipe.model.apply(
                variables if held is None else merge(variables, held),
                part["image"],
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
        figures = recipe.loss(output, part["target"])
        figures |= metrics.step_figures(recipe.task, output.logits, part["label"])
        moving, _ = phase.divide({"batch_stats": changed.get("batch_stats", stats)})
        return figures["loss"].mean(), (moving["batch_stats"], figures)

    differentiate = jax.grad(mean_loss, has_aux=True)
    if parts == 1:
        grads, (stats, figures) = differentiate(params, stats, batch, key)
        return grads, stats, figures

    # Every part takes each `parts`-th example, so that each device has its share of every part.
    cut = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

    def add(carry: tuple[Tree, Tree], part: tuple[jax.Array, Batch]):
        total, stats = carry
        index, examples = part
        grads, (stats, figures) = differentiate(
            params, stats, examples, jax.random.fold_in(key, index)
        )
        return (jax.tree.map(jnp.add, total, grads), stats), figures

    zeros = jax.tree.map(jnp.zeros_like, params)
    unroll = parts if jax.default_backend() == "cpu" else 1  # a loop is slow on the CPU
    (total, stats), figures = jax.lax.scan(
        add, (zeros, stats), (jnp.arange(parts), cut), unroll=unroll
    )
    figures = jax.tree.map(lambda x: x.reshape(-1), figures)
    return jax.tree.map(lambda g: g / parts, total), stats, figures


def train_step(
    recipe: Recipe,
    carry: Carry,
    batch: Batch,
    axis: str | None = None,
    phase: Phase = NOTHING_HELD,
) -> Carry:
    """One update. `axis` names the devices' axis when every device runs this on its own images."""
    state, running = carry
    # `still` will be trained in a later phase; `state.frozen` never will.
    moving, still = phase.divide({"params": state.params, "batch_stats": state.batch_stats})
    others = [part for part in (still, state.frozen) if jax.tree.leaves(part)]
    step_key = jax.random.fold_in(named_key(recipe.seed, "dropout"), state.step)
    augment_key = jax.random.fold_in(named_key(recipe.seed, "augment"), state.step)
    if axis is not None:
        step_key = jax.random.fold_in(step_key, jax.lax.axis_index(axis))
    images, targets = recipe.augment(
        augment_key, batch["id"], batch["image"].astype(jnp.float32), batch["label"]
    )
    batch = {"image": recipe.normalise(images), "label": batch["label"], "target": targets}
    held = merge(*others) if others else None
    params, stats = moving["params"], moving["batch_stats"]
    grads, stats, figures = gradients(recipe, params, stats, batch, step_key, held, phase)
    if axis is not None:
        grads = jax.lax.pmean(grads, axis)
        figures = jax.lax.all_gather(figures, axis, tiled=True)
    if jax.tree.leaves(still):
        grads = merge(grads, jax.tree.map(jnp.zeros_like, still["params"]))
        stats = merge(stats, still["batch_stats"])
    updates, opt_state = recipe.optimizer.update(grads, state.opt_state, state.params)
    if state.plateau is not None:
        updates = jax.tree.map(lambda u: u * state.plateau.scale, updates)
    params = optax.apply_updates(state.params, updates)
    params = keep_held(phase, {"params": params}, {"params": state.params})["params"]
    average = state.average
    if average is not None:
        new = {"params": params, "batch_stats": stats}
        # The decay rises to its value, so that the first weights are soon forgotten.
        decay = jnp.minimum(recipe.average_decay, (1 + state.step) / (10 + state.step))
        moved = optax.incremental_update(new, average, 1 - decay)
        average = keep_held(phase, moved, average)
    figures |= {"step": state.step + 1, "gradient_norm": optax.tree.norm(grads)}
    running = running.merge(running.single_from_model_output(**figures))
    state = state.replace(
        step=state.step + 1, params=params, batch_stats=stats, opt_state=opt_state, average=average
    )
    return state, running


def keep_held(phase: Phase, new: dict[str, Tree], old: dict[str, Tree]) -> dict[str, Tree]:
    """`new`, but the very bits of `old` for what holds still: -0 + 0 is not -0."""
    held = phase.divide(old)[1]
    return merge(phase.divide(new)[0], held) if jax.tree.leaves(held) else new


def eval_step(recipe: Recipe, variables: dict[str, Tree], batch: Batch) -> dict[str, jax.Array]:
    """Per-example loss, figures and label, without augmentation, by population statistics."""
    if isinstance(batch["image"], tuple):
        output = Output(mean_of_views(recipe, variables, batch["image"]))
    else:
        images = recipe.normalise(batch["image"].astype(jnp.float32))
        output = recipe.model.apply(variables, images, train=False)
    loss = recipe.loss(output, batch["label"])["loss"]
    figures = metrics.example_figures(recipe.task, output.logits, batch["label"])
    return {"loss": loss, "label": batch["label"], "id": batch["id"], **figures}


def mean_of_views(
    recipe: Recipe, variables: dict[str, Tree], groups: tuple[jax.Array, ...]
) -> jax.Array:
    """Logarithms of the mean class probabilities [B, K] over all views and their mirror images.

    `groups` are uint8 [B, k, S, S, C], one a size.
    """
    model, total, views = recipe.view_model or recipe.model, 0.0, 0
    for group in groups:
        examples, count = group.shape[:2]
        images = jnp.stack([group, group[:, :, :, ::-1]], axis=2).astype(jnp.float32)
        images = recipe.normalise(images.reshape(-1, *group.shape[2:]))
        logits = model.apply(variables, images, train=False).logits
        shares = jax.nn.softmax(logits.astype(jnp.float32))
        total += shares.reshape(examples, 2 * count, -1).sum(1)
        views += 2 * count
    return jnp.log(jnp.maximum(total / views, 1e-38))


@dataclasses.dataclass(frozen=True)
class Steps:
    """The compiled functions of one run; state and metrics are donated to `train`."""

    init: Callable[..., Carry]  # (seed: that of the run)
    programs: tuple[Program, ...]  # of training, one a phase
    starts: tuple[int, ...]  # the first step of each
    evaluate: Callable[[TrainState, Source], dict[str, jax.Array]]
    finite: Callable[[TrainState], jax.Array]  # bool, one for each leaf of `state.numbers`
    abstract: Carry  # shapes, types and places of what `init` makes
    empty_metrics: Callable[[], clu.metrics.Collection]

    def train(self, carry: Carry, source: Source, step: int = 0) -> tuple[Carry, jax.Array]:
        """The update after `step` others: (what it made of the carry, a value to wait for)."""
        return self.programs[bisect.bisect_right(self.starts, step) - 1](carry, source)


def compile_steps(
    recipe: Recipe,
    devices: Devices,
    clock: Clock,
    image_shape: tuple[int, ...],
    plateau: optax.GradientTransformationExtraArgs | None,
    start: Start | None = None,
) -> Steps:
    """The steps over all devices; nothing is compiled before its first call.

    With a `start`, `init` gives its weights where it has any, and fresh ones elsewhere.
    """
    replicas, everywhere = devices.replicas, devices.everywhere
    collection = metrics.train_metrics(figure_names(recipe, image_shape))

    def init(seed: jax.Array) -> Carry:
        state = init_state(recipe, seed, image_shape, replicas, plateau)
        return state, collection.empty()

    shapes = jax.eval_shape(init, np.uint32(0))
    carry_specs = specs_of(shapes[0], replicas), jax.tree.map(lambda _: P(), shapes[1])
    sharding = jax.tree.map(
        lambda spec: jax.NamedSharding(devices.mesh, spec), carry_specs, is_leaf=is_spec
    )
    abstract = jax.tree.map(
        lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
        shapes,
        sharding,
    )

    def update(phase: Phase, carry: Carry, batch: Batch) -> Carry:
        if replicas == 1:
            return train_step(recipe, carry, batch, phase=phase)

        def on_one_device(carry: Carry, batch: Batch) -> Carry:
            state, running = carry
            state = map_stats(lambda s: s[0], state)
            state, running = train_step(recipe, (state, running), batch, AXIS, phase)
            return map_stats(lambda s: s[None], state), running

        return jax.shard_map(
            on_one_device,
            mesh=devices.mesh,
            in_specs=(carry_specs, P(AXIS)),
            out_specs=carry_specs,
            check_vma=False,
        )(carry, batch)

    def place(array: jax.Array) -> jax.Array:
        return jax.lax.with_sharding_constraint(array, devices.split)

    def program(phase: Phase) -> Program:
        def train(carry: Carry, source: Source) -> tuple[Carry, jax.Array]:
            carry = update(phase, carry, source.batch(carry[0].step, clock.batch_size, place))
            return carry, carry[0].step + 0  # a value of its own, to wait for

        return parallel.jit(train, donate_argnums=0, out_shardings=(sharding, everywhere))

    def evaluate(state: TrainState, source: Source) -> dict[str, jax.Array]:
        if replicas > 1:
            state = map_stats(lambda s: s.mean(0), state)
        batch = source.batch(state.step, clock.batch_size, place)
        return eval_step(recipe, state.variables, batch)

    def finite(state: TrainState) -> jax.Array:
        return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.numbers)])

    fresh = parallel.jit_once(init, out_shardings=sharding)

    def begin(seed: int = recipe.seed) -> Carry:
        state, running = fresh(np.uint32(seed))
        return state if start is None else start.put(state), running

    return Steps(
        init=begin,
        programs=tuple(program(phase) for phase in recipe.plan.phases),
        starts=tuple(phase.start for phase in recipe.plan.phases),
        evaluate=parallel.jit(evaluate, out_shardings=everywhere),
        finite=parallel.jit_once(finite, out_shardings=everywhere),
        abstract=abstract,
        empty_metrics=parallel.jit_once(collection.empty, out_shardings=everywhere),
    )


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
