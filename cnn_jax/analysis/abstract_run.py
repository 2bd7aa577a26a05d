"""A run's training step by shapes alone: no data, no weights, and no device that it will run on."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data import augment, splits
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.loading.device_dataset import BatchSource, DeviceDataset, HostBatch, TrainOrder
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.runtime import target
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training import config_checks, optimizers
from cnn_jax.training.compiled_steps import compile_steps
from cnn_jax.training.experiment import check_config, choose_steps_per_dispatch
from cnn_jax.training.net import make_model
from cnn_jax.training.train_step import TrainCarry, make_step_spec
from cnn_jax.transfer.freezing import make_freeze_plan

# Examples and classes of official sets, whose files need not be there: see `data.sources`.
SIZES = {
    "digits": (1797, 10),
    "mnist": (60_000, 10),
    "fashion_mnist": (60_000, 10),
    "cifar10": (50_000, 10),
    "cifar100": (50_000, 100),
    "imagenet2012": (1_281_167, 1000),
}
WITHOUT_TEST = ("digits",)  # which is divided


@dataclasses.dataclass(frozen=True)
class AbstractRun:
    """What is compiled: `lower()` it; everything in it is shapes, types and places."""

    config: ConfigDict
    devices: Devices
    clock: Clock
    carry: TrainCarry
    batches: BatchSource
    program: Any  # the jitted steps
    loop: bool  # of any number of steps a call

    def lower(self) -> Any:
        """`jax.stages.Lowered` of one call; within `target.compiled_for` where that matters."""
        return self.program.lower(self.carry, self.batches, 1)


def abstract_run(config: ConfigDict, devices: Devices, dataset: Dataset) -> AbstractRun:
    """The steps of the last phase of a config, when all is trained, over devices of any kind.

    Raises `UserError` for what a run would be refused for.
    """
    check_config(config, devices=devices)
    shape = dataset.train.image_shape
    model = make_model(config, dataset.task.outputs)
    clock = Clock(len(dataset.train), config.batch_size, config.epochs)
    schedule, plateau = optimizers.make_schedule(config, clock), optimizers.make_plateau(config)
    plan = make_freeze_plan(config, model, shape, clock.step_at)
    statistics = some_statistics(config, shape)
    spec = make_step_spec(config, model, dataset, schedule, plan, statistics)
    loop = choose_steps_per_dispatch(config, dataset) > 1
    compiled = compile_steps(spec, devices, config.batch_size, shape, plateau, None, loop)
    batches = abstract_batches(dataset.train, devices, config.batch_size)
    return AbstractRun(
        config, devices, clock, compiled.abstract, batches, compiled.phases[-1], loop
    )


def dataset_of(config: ConfigDict) -> Dataset:
    """A dataset of the config's size; of a named set by `SIZES`, of others by what lies there."""
    name = config.data.name
    shape = config_checks.image_shape(config)
    if name not in SIZES or shape is None:
        return data.load(config.data)
    whole, classes = SIZES[name]
    examples = whole - left_out(config.data, whole, classes)
    task = Task("classification", tuple(map(str, range(config.model.num_classes or classes))))
    streams = is_streamed(config, examples * math.prod(shape))
    images = Unread(examples, shape) if streams else zeros(examples, *shape)
    train = Split(images, *labels(examples))
    none = Split(zeros(0, *shape), *labels(0))
    return Dataset(name, task, train, none, none)


def left_out(c: ConfigDict, whole: int, classes: int) -> int:
    """Of the examples of a set of `SIZES`, those that are not trained on: see `splits.divide`."""
    parts = {"validation": c.validation} | ({"test": c.test} if c.name in WITHOUT_TEST else {})
    count = 0
    if c.get("folds") is not None and c.get("fold") is not None:
        del parts["test" if "test" in parts else "validation"]
        count = len(range(c.fold, whole, c.folds))
    return count + sum(splits.held_out_count(size, whole, classes) for size in parts.values())


@dataclasses.dataclass(frozen=True)
class Unread:
    """Images that are streamed, of which the shape is known."""

    examples: int
    image_shape: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.examples, *self.image_shape


def is_streamed(config: ConfigDict, size: int) -> bool:
    """Photographs are, of more bytes than may be held, or cut anew each time."""
    c = config.data
    if c.fit != "crop":
        return False
    if c.streaming is not None:
        return bool(c.streaming)
    return size > c.memory_megabytes * 1e6 or bool(c.train_crop)


def zeros(*shape: int) -> np.ndarray:
    """uint8 that takes no memory."""
    return np.broadcast_to(np.uint8(0), shape)


def labels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and ids."""
    none = np.broadcast_to(np.int32(0), (count,))
    return none, none


def some_statistics(config: ConfigDict, shape: tuple[int, ...]) -> InputStatistics:
    """Of the right form, with values that no compiler can leave out."""
    whole = config.data.normalisation in ("mean_image", "per_pixel_mean")
    form = shape if whole else shape[-1:]
    shift = np.linspace(100, 150, math.prod(form), dtype=np.float32).reshape(form)
    scale = np.linspace(0.01, 0.02, shape[-1], dtype=np.float32)
    colours = np.eye(shape[-1], dtype=np.float32) + 0.1
    return InputStatistics(shift, scale, colours if augment.uses_colours(config.augment) else None)


def abstract_batches(split: Split, devices: Devices, batch_size: int) -> BatchSource:
    """Where the step takes its batch from: a set on every device, or a stream."""
    number = np.int32 if split.labels.dtype.kind == "i" else np.float32
    examples, shape = len(split), split.image_shape

    def array(of: tuple[int, ...], dtype: Any, place: Any) -> Any:
        return jax.ShapeDtypeStruct(of, dtype, sharding=place)

    if split.in_memory:
        place = devices.replicated
        images = array((examples, *shape), np.uint8, place)
        numbers = array((examples,), number, place), array((examples,), np.int32, place)
        order = array((), np.int32, place), array((2 * examples,), np.int32, place)
        return TrainOrder(DeviceDataset(images, *numbers), *order)
    place, kinds = devices.batch_sharding, {"label": number, "mask": np.bool_}
    kinds |= {"id": np.int32, "epoch": np.int32}
    batch = {name: array((batch_size,), dtype, place) for name, dtype in kinds.items()}
    return HostBatch({"image": array((batch_size, *shape), np.uint8, place), **batch})


def bytes_per_device(tree: Any) -> int:
    """Of the part that lies on one device."""
    leaves = jax.tree.leaves(tree)
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * np.dtype(x.dtype).itemsize for x in leaves
    )


def on_target(devices: Devices) -> Any:
    """The context in which a run over these devices is traced."""
    kind = devices.mesh.devices.flat[0].platform
    return target.compiled_for(kind, devices.count)
