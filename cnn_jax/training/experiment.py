"""From a config to what a run is made of: data, net, clock and compiled steps."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data import augment
from cnn_jax.data.dataset import Dataset, SplitName
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.loading import loaders
from cnn_jax.data.loading.loaders import Loader, ReadOptions
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.data.sources import image_dataset
from cnn_jax.errors import UserError
from cnn_jax.models.variables import init_variables
from cnn_jax.runtime import target
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.sharding import Devices
from cnn_jax.runtime.step_schedule import StepSchedule
from cnn_jax.training import (
    config_checks,
    dataset_checks,
    net_checks,
    open_values,
    optimizers,
    population_statistics,
)
from cnn_jax.training.compiled_steps import CompiledSteps, compile_steps
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.net import make_model, sliding
from cnn_jax.training.step_loop import StepLoop
from cnn_jax.training.train_step import (
    TrainStepSpec,
    check_remat,
    make_step_spec,
    undecayed_params,
)
from cnn_jax.transfer.freezing import TRAIN_ALL, NetOutline, describe_plan, make_freeze_plan
from cnn_jax.transfer.initial_weights import (
    InitialWeights,
    check_source,
    make_initial_weights,
    variable_shapes,
)
from cnn_jax.transfer.whitening import whitening_values

ACCELERATOR_STEPS = 8  # a call


@dataclasses.dataclass(frozen=True, repr=False)
class Experiment:
    """What a config turns into: data, clock and compiled steps."""

    config: ConfigDict
    dataset: Dataset
    devices: Devices
    clock: Clock
    step_schedule: StepSchedule
    steps_per_dispatch: int  # updates that one call may make at most
    lr_schedule: optax.Schedule
    lr_plateau: optax.GradientTransformationExtraArgs | None
    step_spec: TrainStepSpec
    compiled: CompiledSteps
    initial_weights: InitialWeights | None  # the weights of `init.from`
    protocol: EvalProtocol | None  # of the report; None: the single crop
    warnings: list[str]  # of what may be meant, but seldom is

    def __repr__(self) -> str:
        steps = f"{self.clock.total_steps:,} steps of {self.clock.batch_size}"
        return f"<{self.config.model.name} on {self.dataset}, {steps}>"

    @property
    def monitor(self) -> SplitName:
        """The split that is watched while training: validation where there is one."""
        return "validation" if len(self.dataset.validation) else "test"

    def plan_lines(self) -> list[str]:
        """What is frozen, in words."""
        plan, shape = self.step_spec.plan, self.dataset.train.image_shape
        if not plan.phases[0].params:
            return []
        sizes = {
            name.removeprefix("params/"): math.prod(shape)
            for name, shape in variable_shapes(self.step_spec.model, shape).items()
            if name.startswith("params/")
        }
        outline = NetOutline.of(self.step_spec.model, self.dataset.train.image_shape)
        return describe_plan(plan, outline, sizes, self.config.freeze_norm)

    @property
    def read_options(self) -> ReadOptions:
        data, crop = self.config.data, None
        if data.train_crop:
            crop = TrainCrop.parse(data.train_crop, data.image_size)
        return ReadOptions(data.workers, data.threads, crop)

    def train_loader(self, seed: int | None = None) -> Loader:
        """The batches of training, from any step on; their order is that of `seed`."""
        clock, seed = self.clock, self.config.seed if seed is None else seed
        size, steps = clock.batch_size, clock.total_steps
        balanced = self.config.data.get("sampler") == "balanced"
        return loaders.train_loader(
            self.dataset.train, self.devices, size, steps, seed, self.read_options, balanced
        )

    def step_loop(self, *args: Any, **options: Any) -> StepLoop:
        """The updates of this run: those of `StepLoop(self, ...)`."""
        return StepLoop(self, *args, **options)

    def evaluator(self, split: SplitName, protocol: EvalProtocol | None = None) -> Evaluator:
        """Over a split, by the single crop, or by `protocol`."""
        config = self.config
        size = config.eval_batch_size or config.batch_size
        part = self.dataset.split(split)
        return Evaluator(
            part, self.compiled.evaluate, self.devices, size, self.read_options, protocol
        )


def make_experiment(
    config: ConfigDict,
    dataset: Dataset | None = None,
    is_new_run: bool = True,
    folder: Path | None = None,
) -> Experiment:
    """Checks the config, loads the data and prepares the steps; compiles nothing.

    A `dataset` that is given takes the place of the config's. A run that goes on from a checkpoint
    reads no `init.from`, and takes the constants of the training split from its `folder`.
    """
    devices = check_config(config, is_new_run, folder)
    dataset = dataset or data.load(config.data)
    dataset_checks.check_dataset(config, dataset)
    model = make_model(config, dataset.task.outputs)
    protocol = make_protocol(config, model, dataset)
    clock = Clock(len(dataset.train), config.batch_size, config.epochs)
    lr_schedule = optimizers.make_schedule(config, clock)
    lr_plateau = optimizers.make_plateau(config)
    image_shape = dataset.train.image_shape
    plan = make_freeze_plan(config, model, image_shape, clock.step_at)
    checked = (config, model, image_shape, devices.replicas, plan)
    norm_warnings = net_checks.check_norms(*checked) if is_new_run else []
    initial_weights = load_initial_weights(config, model, dataset) if is_new_run else None
    statistics = InputStatistics.read(folder) if folder and not is_new_run else None
    if is_new_run and folder and not config.data.skip_bad:  # which has decoded them all
        but = "train" if InputStatistics.reads_images(config) else None
        image_dataset.check_readable(dataset, but)
    spec = make_step_spec(config, model, dataset, lr_schedule, plan, statistics)
    if folder and config.on_nan != "stop":  # a run; what only measures sees what there is
        spec = dataclasses.replace(spec, on_nan=config.on_nan)
    if protocol and protocol.slides:
        spec = dataclasses.replace(spec, view_model=sliding(model))
    looped = (steps_per_dispatch := choose_steps_per_dispatch(config, dataset)) > 1
    compiled = compile_steps(
        *(spec, devices, config.batch_size, image_shape, lr_plateau, initial_weights, looped),
        make_whitening(config, spec, dataset) if is_new_run else None,
    )
    return Experiment(
        config=config,
        dataset=dataset,
        devices=devices,
        clock=clock,
        step_schedule=StepSchedule.of(config, clock, compiled.first_steps),
        steps_per_dispatch=steps_per_dispatch,
        lr_schedule=lr_schedule,
        lr_plateau=lr_plateau,
        step_spec=spec,
        compiled=compiled,
        initial_weights=initial_weights,
        protocol=protocol,
        warnings=[
            *dataset_checks.small_view_warnings(config, protocol),
            *augment.warnings_for(config.data.name, config.augment, config.data.label_changing),
            *optimizers.warnings_for(config),
            *dataset_checks.dataset_warnings(config, dataset),
            *norm_warnings,
            *dataset_checks.transfer_warnings(config, model, initial_weights),
        ],
    )


def check_config(
    config: ConfigDict,
    is_new_run: bool = True,
    folder: Path | None = None,
    devices: Devices | None = None,
) -> Devices:
    """Raises `UserError` for all that is wrong with a config whatever its data is.

    Called before workdir and data, whoever trains; returns the devices of the run, this process's
    unless others are given. A run that goes on reads no `init.from`. What the config leaves open is
    written into it: see `open_values`.
    """
    config_checks.check(config)
    if folder is not None:
        dataset_checks.check_apart(config, folder)
    open_values.complete(config, folder)
    devices = devices or Devices.create(config.parallel, config.devices, config.shards)
    devices.check_batch(config.batch_size, config.accumulate)
    model, shape = make_model(config), config_checks.image_shape(config)
    if is_new_run and config.init["from"]:
        check_source(config.init["from"])
    if shape is not None:
        images = config.batch_size // (config.accumulate * devices.replicas)
        traced = net_checks.trace(model, shape, images)
        net_checks.check_auxiliary(config, traced.auxiliary)
        if not any(norm.by_batch for norm in traced.norms):
            population_statistics.refuse(config.get("population_statistics", 0), model)
        plan = make_freeze_plan(config, model, shape, step_at=lambda epoch: 0)
        undecayed_params(config, model, shape)
        check_remat(config, model, shape)
        if is_new_run and plan is TRAIN_ALL:
            net_checks.check_norms(config, model, shape, devices.replicas)
    return devices


def load_initial_weights(
    config: ConfigDict, model: nn.Module, dataset: Dataset
) -> InitialWeights | None:
    """The weights of `init.from`, where there are any."""
    path, head = config.init["from"], config.init.head
    if not path:
        return None
    names = {"dataset": config.data.name, "classes": dataset.task.classes}
    shape = dataset.train.image_shape
    return make_initial_weights(path, model, config.model.name, shape, head, **names)


def make_whitening(
    config: ConfigDict, spec: TrainStepSpec, dataset: Dataset
) -> dict[str, np.ndarray] | None:
    """The kernel of the stage that `init.whiten` names, by name, where there is one."""
    stage = config.init.get("whiten")
    if not stage:
        return None
    train = dataset.train
    shapes = variable_shapes(spec.model, train.image_shape)
    return whitening_values(stage, train.images, spec.normalise, shapes)


def choose_steps_per_dispatch(config: ConfigDict, dataset: Dataset) -> int:
    """`steps_per_dispatch`, or its default: a loop pays where a call takes long beside a step."""
    requested = config.steps_per_dispatch
    if dataset.train.in_memory:
        return requested or (1 if target.platform() == "cpu" else ACCELERATOR_STEPS)
    if requested > 1:
        raise UserError(
            f"steps_per_dispatch={requested}: {config.data.name} is streamed, batch by batch; "
            "choose steps_per_dispatch=1, or 0, which fits every set"
        )
    return 1


def make_protocol(config: ConfigDict, model: nn.Module, dataset: Dataset) -> EvalProtocol | None:
    """That of the report; raises `UserError` where the net or the data do not allow it."""
    size, channels = config.data.image_size, dataset.train.image_shape[-1]
    protocol = EvalProtocol.parse(config.protocol, size, channels)
    if protocol is None:
        return None
    key = f"protocol={config.protocol!r}"
    if dataset.task.kind != "classification":
        raise UserError(f"{key}: averages class probabilities, and {dataset.name} has no classes")
    if not protocol.slides:
        return protocol
    own, side = dataset.train.image_shape, protocol.min_side
    large = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    variables = jax.eval_shape(lambda: init_variables(model, 0, own))
    try:
        jax.eval_shape(lambda v, x: sliding(model).apply(v, x, train=False), variables, large)
    except (flax.errors.FlaxError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}: {config.model.name} takes images of {size} pixels only; "
            "choose protocol='ten_crop'"
        ) from error
    return protocol
