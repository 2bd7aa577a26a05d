"""The pure training step: augment, normalise, apply, differentiate, update."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

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
from cnn_jax.models.variables import Tree, merge
from cnn_jax.runtime import target
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.training import losses, metrics, optimizers
from cnn_jax.training.class_weights import class_weights
from cnn_jax.training.lookahead import Lookahead, make_lookahead
from cnn_jax.training.parameter_update import Joined, ParameterUpdate, warmed_up
from cnn_jax.training.rematerialise import rematerialised
from cnn_jax.training.scalings import BY_TENSOR
from cnn_jax.training.train_state import TrainState
from cnn_jax.transfer.freezing import NOTHING_FROZEN, TRAIN_ALL, FreezePhase, FreezePlan, NetOutline

Variables = dict[str, Tree]  # {"params", "batch_stats"}


class TrainCarry(NamedTuple):
    """What one step hands to the next."""

    state: TrainState
    metrics: clu.metrics.Collection  # running since the last row of the log

    def as_saved(self) -> tuple[dict[str, Any], clu.metrics.Collection]:
        """The tree that a checkpoint holds."""
        return self.state.as_saved(), self.metrics

    @classmethod
    def from_saved(cls, saved: Any) -> TrainCarry:
        """The carry of `as_saved`."""
        state, running = saved
        return cls(TrainState.from_saved(state), running)


@dataclasses.dataclass(frozen=True)
class TrainStepSpec:
    """All that a step is made of; nothing in it changes while training."""

    model: nn.Module
    task: Task
    loss: Callable[..., dict[str, jax.Array]]  # as it is evaluated
    train_loss: Callable[..., dict[str, jax.Array]]  # the same, weighted by classes
    update: ParameterUpdate
    statistics: InputStatistics
    augment: Augment
    seed: int
    microbatches: int
    average_decay: float
    schedule_free: bool = False  # its mean of the weights is in `ema_variables`
    plan: FreezePlan = TRAIN_ALL
    space_to_depth: bool = False  # the first layer's form: `ops.space_to_depth`
    view_model: nn.Module | None = None  # for views of a protocol, where it is another
    remat: tuple[str, ...] = ()  # stages whose activations are computed again
    lookahead: Lookahead | None = None  # its slow weights are in `ema_variables`
    shard_optimizer: bool = False  # its moments lie divided over the devices
    on_nan: str = "stop"  # what is done about a step that is not finite: `recovery`

    def apply(self, variables: Variables, images: jax.Array, **options: Any) -> Any:
        """The net on normalised images [B, H, W, C]."""
        with ops.space_to_depth(self.space_to_depth), rematerialised(self.remat):
            return self.model.apply(variables, images, **options)

    def of_views(self) -> TrainStepSpec:
        """The spec for the views of a protocol."""
        return dataclasses.replace(self, model=self.view_model or self.model)

    @property
    def normalise(self) -> Callable[[jax.Array], jax.Array]:
        return self.statistics.normalise


def make_step_spec(
    config: ConfigDict,
    model: nn.Module,
    dataset: Dataset,
    schedule: optax.Schedule,
    plan: FreezePlan = TRAIN_ALL,
    statistics: InputStatistics | None = None,
) -> TrainStepSpec:
    """The parts that the config names; the statistics are of the training split unless given."""
    loss = train_loss = losses.make_loss(config, dataset.task)
    if (weights := class_weights(config, dataset)) is not None:
        train_loss = losses.make_loss(config, dataset.task, weights)
    undecayed = undecayed_params(config, model, dataset.train.image_shape)
    optimizer = optimizers.make_optimizer(
        config, schedule, plan.first_steps, plan.rate_factors, undecayed, plan.stop_steps
    )
    by_path = plan is not TRAIN_ALL or bool(undecayed) or config.optimizer.name in BY_TENSOR
    # A pass over the images: after the config's mistakes.
    check_remat(config, model, dataset.train.image_shape)
    statistics = statistics or InputStatistics.of(config, dataset.train.images)
    return TrainStepSpec(
        model=model,
        task=dataset.task,
        loss=loss,
        train_loss=train_loss,
        update=ParameterUpdate(optimizer, "none" if by_path else joined_tensors(config, model)),
        statistics=statistics,
        augment=statistics.make_augment(config, dataset.train.image_shape, dataset.task),
        seed=config.seed,
        microbatches=config.accumulate,
        average_decay=config.average_decay,
        schedule_free=config.optimizer.name == "schedule_free",
        plan=plan,
        space_to_depth=config.space_to_depth,
        remat=tuple(config.remat),
        shard_optimizer=bool(config.get("shard_optimizer")),
        lookahead=make_lookahead(
            config, Clock(len(dataset.train), config.batch_size, config.epochs)
        ),
    )


def joined_tensors(config: ConfigDict, model: nn.Module) -> Joined:
    """Which tensors an update that works number by number may see joined."""
    if getattr(model, "scan", False):
        return "all"
    # Elastic bits are those of any number of devices: several join nothing in one call.
    return "none" if config.parallel == "elastic" else "small"


def check_remat(config: ConfigDict, model: nn.Module, image_shape: tuple[int, ...]) -> None:
    """Raises `UserError` where a pattern of `remat` names nothing of the net."""
    if config.remat:
        outline = NetOutline.of(model, image_shape)
        for pattern in config.remat:
            outline.matching_params("remat", pattern)


def undecayed_params(
    config: ConfigDict, model: nn.Module, image_shape: tuple[int, ...]
) -> frozenset[str]:
    """The paths that `optimizer.decay_except` names; `UserError` where a pattern names nothing."""
    patterns = config.optimizer.get("decay_except") or ()
    if not patterns:
        return frozenset()
    outline, key = NetOutline.of(model, image_shape), "optimizer.decay_except"
    return frozenset().union(*(outline.matching_params(key, pattern) for pattern in patterns))


def init_state(
    spec: TrainStepSpec, variables: dict[str, Tree], replicas: int, plateau: Any
) -> TrainState:
    """The state before the first step, of a fresh net's variables."""
    variables, frozen = spec.plan.never_trained.partition(variables)
    params, stats = variables["params"], variables["batch_stats"]
    if replicas > 1:
        stats = jax.tree.map(lambda s: jnp.broadcast_to(s, (replicas, *s.shape)), stats)
    has_mean = spec.average_decay or spec.schedule_free or spec.lookahead
    average = {"params": params, "batch_stats": stats} if has_mean else None
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=stats,
        opt_state=spec.update.init(params),
        ema_variables=jax.tree.map(jnp.copy, average),
        lr_plateau_state=None if plateau is None else plateau.init(params),
        frozen=frozen if jax.tree.leaves(frozen) else None,
        rate_factor=jnp.float32(1) if spec.on_nan == "rollback" else None,
    )


def train_step(
    spec: TrainStepSpec,
    carry: TrainCarry,
    batch: Batch,
    phase: FreezePhase = NOTHING_FROZEN,
    axis: str | None = None,
) -> TrainCarry:
    """One update. `axis` names the devices' axis when every device runs this on its own images."""
    state = carry.state
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    trainable, frozen_now = phase.partition(variables)  # the others may be trained later
    examples = preprocess(spec, batch, state.step)
    key = jax.random.fold_in(rng_stream(spec.seed, "dropout"), state.step)
    if axis is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis))

    frozen = join(frozen_now, state.frozen)
    grads, stats, figures = gradients(spec, trainable, frozen, examples, key, phase)
    if axis is not None:
        grads = jax.lax.pmean(grads, axis)
        figures = jax.lax.all_gather(figures, axis, tiled=True)
    return updated(spec, carry, phase, frozen_now, grads, stats, figures)


def updated(
    spec: TrainStepSpec,
    carry: TrainCarry,
    phase: FreezePhase,
    frozen_now: Variables,
    grads: Tree,
    stats: Tree,
    figures: dict[str, jax.Array],
) -> TrainCarry:
    """The carry after an update by gradients, new statistics and figures [B] of a whole batch."""
    state, running = carry
    if jax.tree.leaves(frozen_now):
        grads = merge(grads, jax.tree.map(jnp.zeros_like, frozen_now["params"]))
        stats = merge(stats, frozen_now["batch_stats"])

    params, opt_state, norm = spec.update(grads, state.opt_state, state.params, rate_of(state))
    params = keep_frozen(phase, {"params": params}, {"params": state.params})["params"]
    ema = state.ema_variables
    if spec.schedule_free:
        ema = {"params": optimizers.mean_params(opt_state, params), "batch_stats": stats}
    elif spec.lookahead:
        new = {"params": params, "batch_stats": stats}
        new, ema = spec.lookahead(state.step + 1, new, ema)
        params, stats = new["params"], new["batch_stats"]
    elif ema is not None:
        new, decay = {"params": params, "batch_stats": stats}, spec.average_decay
        ema = keep_frozen(
            phase, spec.update.moving_average(new, ema, warmed_up(decay, state.step)), ema
        )
    figures |= {"step": state.step + 1, "gradient_norm": norm}
    running = running.merge(running.single_from_model_output(**figures))
    state = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=stats,
        opt_state=opt_state,
        ema_variables=ema,
    )
    return TrainCarry(state, running)


def rate_of(state: TrainState) -> jax.Array | None:
    """The factor of the schedule's rate: by the plateau, and by returns to a checkpoint."""
    plateau, factor = state.lr_plateau_state, state.rate_factor
    if plateau is None:
        return factor
    return plateau.scale if factor is None else plateau.scale * factor


def preprocess(spec: TrainStepSpec, batch: Batch, step: jax.Array) -> dict[str, Any]:
    """{"image": augmented, normalised [B, H, W, C], "label", "target": the label or a mixture}."""
    key = jax.random.fold_in(rng_stream(spec.seed, "augment"), step)
    images, labels = batch["image"].astype(jnp.float32), batch["label"]
    passes = None
    if "epoch" in batch:  # of training, always; not of what is only evaluated
        passes = augment.Passes(rng_stream(spec.seed, "mirror"), batch["epoch"])
    images, targets = spec.augment(key, batch["id"], images, labels, passes)
    return {"image": spec.normalise(images), "label": labels, "target": targets}


def gradients(
    spec: TrainStepSpec,
    trainable: Variables,
    frozen: Variables | None,
    batch: dict[str, Any],
    key: jax.Array,
    phase: FreezePhase = NOTHING_FROZEN,
) -> tuple[Tree, Tree, dict[str, jax.Array]]:
    """(gradients, new batch_stats, figures [B] by name) of the mean loss over the batch.

    The loss is of the batch's "target", the figures beside it of its "label". By `frozen` no
    derivative is taken, and what lies before the first trainable layer has no backward pass.
    With several microbatches, the gradients are their mean and the statistics move once for each.
    """

    def mean_loss(params: Tree, stats: Tree, part: Batch, key: jax.Array) -> tuple:
        variables: Any = join({"params": params, "batch_stats": stats}, frozen)
        with phase.population_norms(), ops.joint_norms(not phase.norms):
            output, changed = spec.apply(
                variables, part["image"], train=True, rngs={"dropout": key}, mutable=["batch_stats"]
            )
        figures = spec.train_loss(output, part["target"])
        figures |= metrics.step_figures(spec.task, output.logits, part["label"])
        moved, _ = phase.partition({"batch_stats": changed.get("batch_stats", stats)})
        return figures["loss"].mean(), (moved["batch_stats"], figures)

    differentiate = jax.grad(mean_loss, has_aux=True)
    params, stats = trainable["params"], trainable["batch_stats"]
    if spec.microbatches > 1:
        return accumulate(differentiate, spec.microbatches, params, stats, batch, key)
    grads, (stats, figures) = differentiate(params, stats, batch, key)
    return grads, stats, figures


def accumulate(
    differentiate: Callable, parts: int, params: Tree, stats: Tree, batch: Batch, key: jax.Array
) -> tuple[Tree, Tree, dict[str, jax.Array]]:
    """`gradients`, of one part of the batch after another."""
    # Every part takes each `parts`-th example, so that each device has its share of every part.
    cut = jax.tree.map(lambda x: x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1), batch)

    def add(carry: tuple[Tree, Tree], part: tuple[jax.Array, Batch]) -> tuple:
        total, stats = carry
        index, examples = part
        part_key = jax.random.fold_in(key, index)
        grads, (stats, figures) = differentiate(params, stats, examples, part_key)
        return (jax.tree.map(jnp.add, total, grads), stats), figures

    zeros = jax.tree.map(jnp.zeros_like, params)
    unroll = parts if target.platform() == "cpu" else 1  # a loop is slow on the CPU
    (total, stats), figures = jax.lax.scan(
        add, (zeros, stats), (jnp.arange(parts), cut), unroll=unroll
    )
    figures = jax.tree.map(lambda x: x.reshape(-1), figures)
    return jax.tree.map(lambda g: g / parts, total), stats, figures


def join(variables: Variables, others: Variables | None) -> Variables | None:
    """Both as one; what has no leaves is left out, None where neither has any."""
    parts = [part for part in (variables, others) if part is not None and jax.tree.leaves(part)]
    return merge(*parts) if len(parts) > 1 else (parts[0] if parts else None)


def keep_frozen(phase: FreezePhase, new: Variables, old: Variables) -> Variables:
    """`new`, but the very bits of `old` for what is frozen: -0 + 0 is not -0."""
    frozen = phase.partition(old)[1]
    return merge(phase.partition(new)[0], frozen) if jax.tree.leaves(frozen) else new
