"""How gradients and activations flow through a net while it trains, stage by stage.

A program of its own, beside the training step: what trains is the same, measured or not. It takes
the same few training examples every time, not augmented, so that its figures differ by the weights
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.models.variables import Tree, flatten
from cnn_jax.runtime import sharding
from cnn_jax.runtime.flow_log import FlowLog, draw_flow, read_flow
from cnn_jax.runtime.rng_streams import rng_stream
from cnn_jax.training.compiled_steps import map_stats
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.train_state import TrainState
from cnn_jax.training.train_step import TrainStepSpec, join
from cnn_jax.transfer.freezing import NetOutline, stage_name

EXAMPLES = 64  # at most
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of absolute values
SAMPLED = 100_000  # values of a tensor, at most, that quantiles are of
# Stage -> {"gradient": {"norm", "weights", "quantiles"},
#           "activation": {"mean", "std", "quantiles", "dead", "units"}}; not every stage has both.
Flow = dict[str, dict[str, dict[str, Any]]]


class GradientFlow:
    """Measures a run's state: `flow(state)` on its devices, to a `Flow` of plain numbers."""

    def __init__(self, experiment: Experiment):
        config, split, devices = experiment.config, experiment.dataset.train, experiment.devices
        most = min(EXAMPLES, max(1, config.batch_size // config.accumulate), len(split))
        images = np.empty((most, *split.image_shape), np.uint8)
        for row, image in enumerate(images):
            split.read_into(image, row)
        self.examples = devices.replicate((images, split.labels[:most]))
        spec, replicas = experiment.step_spec, devices.replicas

        def measure(state: TrainState, images: jax.Array, labels: jax.Array) -> Flow:
            if replicas > 1:
                state = map_stats(lambda s: s.mean(0), state)
            return measure_flow(spec, state, images, labels)

        # The order of a traced dictionary is lost outside of the trace.
        self.stages = NetOutline.of(spec.model, split.image_shape).stages
        self.program = sharding.jit_once(measure, out_shardings=devices.replicated)

    def __call__(self, state: TrainState) -> Flow:
        found = jax.tree.map(as_number, jax.device_get(self.program(state, *self.examples)))
        return {stage: found[stage] for stage in self.stages if stage in found}


class FlowRecorder:
    """Measures the steps that are due, writes flow.jsonl and draws it; does nothing when off."""

    def __init__(self, experiment: Experiment, folder: Path, step: int):
        self.experiment, self.folder = experiment, folder
        self.flow: GradientFlow | None = None
        self.log: FlowLog | None = None
        if experiment.step_schedule.flow_every_steps and jax.process_index() == 0:
            self.log = FlowLog(folder, step)

    def record(self, step: int, state: TrainState) -> None:
        """Of the state after `step` updates."""
        self.flow = self.flow or GradientFlow(self.experiment)
        stages = self.flow(state)
        if self.log:
            epoch = round(self.experiment.clock.epochs_seen(step), 6)
            self.log.write({"step": step, "epoch": epoch, "stages": stages})

    def draw(self, title: str) -> None:
        if self.log and (rows := read_flow(self.folder)):
            draw_flow(rows, self.folder / "flow.png", title)


def as_number(value: Any) -> Any:
    """Of an array a float or a list, None for what is not finite: JSON has no word for it."""
    if value.ndim:
        return [as_number(entry) for entry in value]
    return float(f"{float(value):.6g}") if np.isfinite(value) else None


class ActivationLog:
    """What the non-linearities put out while a net is traced, by stage.

    Non-linearities are no modules: each belongs to the module that runs, or ran last.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[jax.Array]] = {}
        self.stage = ""

    def follow(self, call: Callable, args: Any, kwargs: Any, context: Any) -> Any:
        """To intercept the methods of modules by."""
        if context.module.path and context.method_name == "__call__":
            self.stage = stage_name(context.module.path[0])
        return call(*args, **kwargs)

    def note(self, values: jax.Array) -> None:
        self.values.setdefault(self.stage, []).append(values)


def measure_flow(
    spec: TrainStepSpec, state: TrainState, images: jax.Array, labels: jax.Array
) -> Flow:
    """Of the mean loss over uint8 images [B, H, W, C], with dropout and the batch's statistics."""
    inputs = spec.normalise(images.astype(jnp.float32))
    key = rng_stream(spec.seed, "flow")

    def mean_loss(params: Tree) -> tuple[jax.Array, dict[str, Any]]:
        log = ActivationLog()
        own = {"params": params, "batch_stats": state.batch_stats}
        variables: Any = join(own, state.frozen)
        # Where intermediates are wanted, blocks run one by one.
        with nn.intercept_methods(log.follow), ops.observed_activations(log.note):
            output, _ = spec.apply(
                variables,
                inputs,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats", "intermediates"],
            )
        activations = {stage: activation_figures(v) for stage, v in log.values.items()}
        return spec.train_loss(output, labels)["loss"].mean(), activations

    gradients, activations = jax.grad(mean_loss, has_aux=True)(state.params)
    flow: Flow = {}
    for stage, tensors in by_stage(gradients).items():
        weights = [leaf for path, leaf in flatten(state.params).items() if in_stage(path, stage)]
        flow[stage] = {
            "gradient": {
                "norm": norm_of(tensors),
                "weights": norm_of(weights),
                "quantiles": quantiles(tensors),
            }
        }
    for stage, figures in activations.items():
        flow.setdefault(stage, {})["activation"] = figures
    return flow


def in_stage(path: str, stage: str) -> bool:
    return stage_name(path.partition("/")[0]) == stage


def by_stage(tree: Tree) -> dict[str, list[jax.Array]]:
    """The leaves of every stage."""
    stages: dict[str, list[jax.Array]] = {}
    for path, leaf in flatten(tree).items():
        stages.setdefault(stage_name(path.partition("/")[0]), []).append(leaf)
    return stages


def norm_of(tensors: list[jax.Array]) -> jax.Array:
    return jnp.sqrt(sum(jnp.square(x.astype(jnp.float32)).sum() for x in tensors))


def quantiles(tensors: list[jax.Array]) -> jax.Array:
    """Of the absolute values; of large tensors every n-th."""
    parts = [jnp.abs(x.astype(jnp.float32)).reshape(-1) for x in tensors]
    sampled = [x[:: max(1, x.size // SAMPLED)] for x in parts]
    return jnp.quantile(jnp.concatenate(sampled), jnp.array(QUANTILES))


def activation_figures(values: list[jax.Array]) -> dict[str, Any]:
    """Of a stage's last non-linearity, and how many units of all of them are dead.

    A unit (a map, of convolutions) is dead where it is the same for every example and position.
    """
    last = values[-1].astype(jnp.float32)
    axes = [tuple(range(x.ndim - 1)) for x in values]
    dead = [(x.max(a) == x.min(a)).sum() for x, a in zip(values, axes, strict=True)]
    return {
        "mean": last.mean(),
        "std": last.std(),
        "quantiles": quantiles([last]),
        "dead": jnp.stack(dead).sum(),
        "units": jnp.float32(sum(x.shape[-1] for x in values)),
    }
