"""The pure train and eval steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import clu.metrics
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from cnn_jax import ops
from cnn_jax.data import augment
from cnn_jax.data.augment.compose import Augment
from cnn_jax.data.dataset import Dataset, Task
from cnn_jax.data.loading.device_dataset import Batch
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.models.layers import Output
from cnn_jax.models.variables import Tree, init_variables, merge
from cnn_jax.ops import flat_params
from cnn_jax.runtime.rng_streams import named_key
from cnn_jax.training import losses, metrics, optimizers
from cnn_jax.training.train_state import TrainState
from cnn_jax.transfer.freezing import NOTHING_FROZEN, TRAIN_ALL, FreezePhase, FreezePlan

Carry = tuple[TrainState, clu.metrics.Collection]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that a step is made of; nothing in it changes while training."""

    model: nn.Module
    task: Task
    loss: Callable[..., dict[str, jax.Array]]
    optimizer: optax.GradientTransformation
    constants: InputStatistics
    augment: Augment
    seed: int
    microbatches: int
    average_decay: float
    plan: FreezePlan = TRAIN_ALL  # what holds still, and until when
    space_to_depth: bool = False  # the first layer's form: `ops.space_to_depth`
    view_model: nn.Module | None = None  # for views of a protocol, where it is another

    def apply(self, variables: dict[str, Tree], images: jax.Array, **options: Any) -> Any:
        """The net on normalised images [B, H, W, C]."""
        with ops.space_to_depth(self.space_to_depth):
            return self.model.apply(variables, images, **options)

    @property
    def one_piece(self) -> Callable[[Tree], tuple[Callable[[Tree], Tree], ...]]:
        """How the update takes a tree: thousands of parameters as one array.

        A net whose blocks are one loop would otherwise compile for minutes, one by one.
        """
        deep = getattr(self.model, "scan", False) and self.plan is TRAIN_ALL
        return flat_params.make_packing if deep else lambda tree: (as_it_is, as_it_is)

    def of_views(self) -> Recipe:
        """The recipe for views."""
        return dataclasses.replace(self, model=self.view_model or self.model)

    @property
    def normalise(self) -> Callable[[jax.Array], jax.Array]:
        return self.constants.normalise


def as_it_is(tree: Tree) -> Tree:
    return tree


def make_recipe(
    config: ConfigDict,
    model: nn.Module,
    dataset: Dataset,
    schedule: optax.Schedule,
    plan: FreezePlan = TRAIN_ALL,
    constants: InputStatistics | None = None,
) -> Recipe:
    """The parts that the config names; the constants are of the training split unless given."""
    loss = losses.make_loss(config, dataset.task)
    optimizer = optimizers.make_optimizer(config, schedule, plan.first_steps, plan.rate_factors)
    if constants is None:  # a pass over the images: after mistakes
        constants = InputStatistics.of(config, dataset.train.images)
    shape, colours = dataset.train.image_shape, constants.colours
    return Recipe(
        model=model,
        task=dataset.task,
        loss=loss,
        optimizer=optimizer,
        constants=constants,
        augment=augment.compose(config.augment, shape, dataset.task, colours),
        seed=config.seed,
        microbatches=config.accumulate,
        average_decay=config.average_decay,
        plan=plan,
        space_to_depth=config.space_to_depth,
    )


def init_state(
    recipe: Recipe, seed: jax.Array, image_shape: tuple[int, ...], replicas: int, plateau: Any
) -> TrainState:
    """The state before the first step, a pure function of the seed."""
    variables, frozen = recipe.plan.never_trained.partition(
        init_variables(recipe.model, seed, image_shape)
    )
    params, stats = variables["params"], variables["batch_stats"]
    if replicas > 1:
        stats = jax.tree.map(lambda s: jnp.broadcast_to(s, (replicas, *s.shape)), stats)
    average = {"params": params, "batch_stats": stats} if recipe.average_decay else None
    pack, unpack = recipe.one_piece(params)
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=stats,
        opt_state=unpack(recipe.optimizer.init(pack(params))),
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
    phase: FreezePhase = NOTHING_FROZEN,
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
            output, changed = recipe.apply(
                variables if held is None else merge(variables, held),
                part["image"],
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
        figures = recipe.loss(output, part["target"])
        figures |= metrics.step_figures(recipe.task, output.logits, part["label"])
        moving, _ = phase.partition({"batch_stats": changed.get("batch_stats", stats)})
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
    phase: FreezePhase = NOTHING_FROZEN,
) -> Carry:
    """One update. `axis` names the devices' axis when every device runs this on its own images."""
    state, running = carry
    # `still` will be trained in a later phase; `state.frozen` never will.
    moving, still = phase.partition({"params": state.params, "batch_stats": state.batch_stats})
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
    pack, unpack = recipe.one_piece(state.params)
    grads, params, opt_state = (pack(t) for t in (grads, state.params, state.opt_state))
    updates, opt_state = recipe.optimizer.update(grads, opt_state, params)
    if state.plateau is not None:
        updates = jax.tree.map(lambda u: u * state.plateau.scale, updates)
    params, opt_state = unpack(optax.apply_updates(params, updates)), unpack(opt_state)
    params = keep_held(phase, {"params": params}, {"params": state.params})["params"]
    average = state.average
    if average is not None:
        new = {"params": params, "batch_stats": stats}
        # The decay rises to its value, so that the first weights are soon forgotten.
        decay = jnp.minimum(recipe.average_decay, (1 + state.step) / (10 + state.step))
        pack, unpack = recipe.one_piece(new)
        moved = unpack(optax.incremental_update(pack(new), pack(average), 1 - decay))
        average = keep_held(phase, moved, average)
    figures |= {"step": state.step + 1, "gradient_norm": optax.tree.norm(grads)}
    running = running.merge(running.single_from_model_output(**figures))
    state = state.replace(
        step=state.step + 1, params=params, batch_stats=stats, opt_state=opt_state, average=average
    )
    return state, running


def keep_held(phase: FreezePhase, new: dict[str, Tree], old: dict[str, Tree]) -> dict[str, Tree]:
    """`new`, but the very bits of `old` for what holds still: -0 + 0 is not -0."""
    held = phase.partition(old)[1]
    return merge(phase.partition(new)[0], held) if jax.tree.leaves(held) else new


def eval_step(recipe: Recipe, variables: dict[str, Tree], batch: Batch) -> dict[str, jax.Array]:
    """Per-example loss, figures and label, without augmentation, by population statistics."""
    if isinstance(batch["image"], tuple):
        output = Output(mean_of_views(recipe, variables, batch["image"]))
    else:
        images = recipe.normalise(batch["image"].astype(jnp.float32))
        output = recipe.apply(variables, images, train=False)
    loss = recipe.loss(output, batch["label"])["loss"]
    figures = metrics.example_figures(recipe.task, output.logits, batch["label"])
    return {"loss": loss, "label": batch["label"], "id": batch["id"], **figures}


def mean_of_views(
    recipe: Recipe, variables: dict[str, Tree], groups: tuple[jax.Array, ...]
) -> jax.Array:
    """Logarithms of the mean class probabilities [B, K] over all views and their mirror images.

    `groups` are uint8 [B, k, S, S, C], one a size.
    """
    recipe, total, views = recipe.of_views(), 0.0, 0
    for group in groups:
        examples, count = group.shape[:2]
        images = jnp.stack([group, group[:, :, :, ::-1]], axis=2).astype(jnp.float32)
        images = recipe.normalise(images.reshape(-1, *group.shape[2:]))
        logits = recipe.apply(variables, images, train=False).logits
        shares = jax.nn.softmax(logits.astype(jnp.float32))
        total += shares.reshape(examples, 2 * count, -1).sum(1)
        views += 2 * count
    return jnp.log(jnp.maximum(total / views, 1e-38))
