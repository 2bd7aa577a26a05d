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
from ml_collections import ConfigDict

from cnn_jax import data, models
from cnn_jax.data import augment
from cnn_jax.data.dataset import Dataset
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.loading.loaders import Loader, ReadOptions, train_loader
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.errors import UserError, unknown
from cnn_jax.models.variables import init_variables
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.sharding import Devices
from cnn_jax.runtime.step_schedule import Agenda
from cnn_jax.training import config_checks, optimizers
from cnn_jax.training.compiled_steps import Steps, compile_steps
from cnn_jax.training.evaluator import Evaluator
from cnn_jax.training.train_step import Recipe, make_recipe
from cnn_jax.transfer.freezing import NetOutline, describe_plan, make_freeze_plan
from cnn_jax.transfer.initial_weights import (
    HEAD_MODES,
    InitialWeights,
    make_initial_weights,
    option_differences,
    variable_shapes,
)

DTYPES = ("float32", "bfloat16")
ACCELERATOR_STEPS = 8  # a call


@dataclasses.dataclass(frozen=True)
class Run:
    """What a config turns into: data, clock and compiled steps."""

    config: ConfigDict
    dataset: Dataset
    devices: Devices
    clock: Clock
    agenda: Agenda
    steps_together: int  # updates that one call may make at most
    schedule: Any
    plateau: Any
    recipe: Recipe
    steps: Steps
    initial_weights: InitialWeights | None  # the weights of `init.from`
    protocol: EvalProtocol | None  # of the report; None: the single crop
    warnings: list[str]  # of what may be meant, but seldom is

    @property
    def monitor(self) -> str:
        """The split that is watched while training: validation where there is one."""
        return "validation" if len(self.dataset.validation) else "test"

    def plan_lines(self) -> list[str]:
        """What is frozen, in words."""
        plan, shape = self.recipe.plan, self.dataset.train.image_shape
        if not plan.phases[0].params:
            return []
        sizes = {
            name.removeprefix("params/"): math.prod(shape)
            for name, shape in variable_shapes(self.recipe.model, shape).items()
            if name.startswith("params/")
        }
        outline = NetOutline.of(self.recipe.model, self.dataset.train.image_shape)
        return describe_plan(plan, outline, sizes, self.config.freeze_norm)

    @property
    def reading(self) -> ReadOptions:
        data, crop = self.config.data, None
        if data.train_crop:
            crop = TrainCrop.parse(data.train_crop, data.image_size)
        return ReadOptions(data.workers, data.threads, crop)

    def feed(self, seed: int | None = None) -> Loader:
        """The batches of training, from any step on; their order is that of `seed`."""
        clock, seed = self.clock, self.config.seed if seed is None else seed
        size, steps = clock.batch_size, clock.total_steps
        return train_loader(self.dataset.train, self.devices, size, steps, seed, self.reading)

    def evaluator(self, split: str, protocol: EvalProtocol | None = None) -> Evaluator:
        """Over a split, by the single crop, or by `protocol`."""
        config = self.config
        size = config.eval_batch_size or config.batch_size
        part = self.dataset.split(split)
        return Evaluator(part, self.steps.evaluate, self.devices, size, self.reading, protocol)


def make_run(
    config: ConfigDict,
    dataset: Dataset | None = None,
    is_new_run: bool = True,
    folder: Path | None = None,
) -> Run:
    """Checks the config, loads the data and prepares the steps; compiles nothing.

    A `dataset` that is given takes the place of the config's. A run that does not begin, but goes
    on from a checkpoint, does not read the weights of `init.from`, and takes the constants of the
    training split from its `folder`.
    """
    if config.dtype not in DTYPES:
        raise unknown("dtype", config.dtype, DTYPES)
    config_checks.check(config)
    devices = Devices.take(config.parallel, config.devices)
    devices.check_batch(config.batch_size, config.accumulate)
    make_model(config)  # its mistakes show before the data is read
    dataset = dataset or data.load(config.data)
    if config.batch_size > len(dataset.train):
        raise UserError(
            f"batch_size={config.batch_size} is larger than the training split of "
            f"{config.data.name} ({len(dataset.train)} examples)"
        )
    check_outputs(config, dataset)
    warnings = augment.warnings_for(config.data.name, config.augment, config.data.label_changing)
    model = make_model(config, dataset.task.outputs)
    protocol = make_protocol(config, model, dataset)
    clock = Clock(len(dataset.train), config.batch_size, config.epochs)
    schedule, plateau = optimizers.make_schedule(config, clock), optimizers.make_plateau(config)
    image_shape = dataset.train.image_shape
    plan = make_freeze_plan(config, model, image_shape, clock.step_at)
    initial_weights = None
    if config.init.head not in HEAD_MODES:
        raise unknown("init.head", config.init.head, HEAD_MODES)
    if is_new_run and config.init["from"]:
        path, head = config.init["from"], config.init.head
        names = config.model.name, image_shape, head, config.data.name
        initial_weights = make_initial_weights(path, model, *names)
    warnings += transfer_warnings(config, model, initial_weights)
    kept = InputStatistics.read(folder) if folder and not is_new_run else None
    recipe = make_recipe(config, model, dataset, schedule, plan, kept)
    if protocol and protocol.slides:
        recipe = dataclasses.replace(recipe, view_model=sliding(model))
    together = steps_together(config, dataset)
    steps = compile_steps(
        recipe, devices, clock, image_shape, plateau, initial_weights, together > 1
    )
    agenda = Agenda.of(config, clock, steps.starts)
    timing = (clock, agenda, together, schedule, plateau)
    return Run(
        config, dataset, devices, *timing, recipe, steps, initial_weights, protocol, warnings
    )


def steps_together(config: ConfigDict, dataset: Dataset) -> int:
    """`steps_per_dispatch`, or its default: a loop pays where a call takes long beside a step."""
    asked = config.steps_per_dispatch
    if dataset.train.in_memory:
        return asked or (1 if jax.default_backend() == "cpu" else ACCELERATOR_STEPS)
    if asked > 1:
        raise UserError(
            f"steps_per_dispatch={asked}: {config.data.name} is streamed, batch by batch; "
            "choose 1, or 0, which fits every set"
        )
    return 1


def transfer_warnings(
    config: ConfigDict, model: nn.Module, initial_weights: InitialWeights | None
) -> list[str]:
    """Of stages frozen as they were drawn, and of weights that expect another net or image."""
    found = []
    if initial_weights and (differ := option_differences(initial_weights.weights, model)):
        found.append(f"the weights are of {initial_weights.weights.model} with {', '.join(differ)}")
    if config.freeze and not config.init["from"]:
        found.append("freeze: without init.from the frozen stages stay as they were drawn")
    expected = initial_weights and initial_weights.weights.preprocessing
    fits = {0.485: "imagenet", 0.5: "minus_one_to_one"}
    wanted = expected and fits.get(expected["mean"][0])
    if expected and config.data.normalisation not in (wanted, "per_channel"):  # moments alike
        found.append(
            f"the weights expect images of mean {expected['mean']} and deviation "
            f"{expected['std']}, not data.normalisation={config.data.normalisation!r}"
            + (f": {wanted!r} gives them" if wanted else "")
        )
    return found


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
    if config.data.normalisation == "per_pixel_mean":
        raise UserError(f"{key}: data.normalisation='per_pixel_mean' has a mean for one size only")
    own, side = dataset.train.image_shape, protocol.min_side
    large = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    variables = jax.eval_shape(lambda: init_variables(model, 0, own))
    try:
        jax.eval_shape(lambda v, x: sliding(model).apply(v, x, train=False), variables, large)
    except (flax.errors.FlaxError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}: {config.model.name} takes images of {size} pixels only; choose ten_crop"
        ) from error
    return protocol


def sliding(model: nn.Module) -> nn.Module:
    """The net that slides over a larger image, which a pool to a map of one size would prevent."""
    return model.clone(adaptive=False) if hasattr(model, "adaptive") else model


def make_model(config: ConfigDict, outputs: int = 1) -> nn.Module:
    """The net of `config.model`; an option that is None stays as the net's name has it.

    It has `outputs` outputs where `model.num_classes` is 0.
    """
    given = {key: value for key, value in config.model.items() if value is not None}
    given["num_classes"] = config.model.num_classes or outputs
    return models.create(dtype=jnp.dtype(config.dtype), **given)


def check_outputs(config: ConfigDict, dataset: Dataset) -> None:
    have, need = config.model.num_classes, dataset.task.outputs
    if have == 0:
        return
    if have < need or (dataset.task.kind == "regression" and have != need):
        raise UserError(
            f"model.num_classes={have} does not fit {config.data.name}, which needs {need}"
        )
