"""This project's side of `benchmarks.speed`: its own train step, its loop, its inference.

Every run is compiled afresh, so that a compilation's time is that of a first start.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks.harness.machine import machine
from benchmarks.harness.repeated_batch import RepeatedBatch
from benchmarks.harness.worker import Stopwatch, Times, peak_memory, serve
from benchmarks.speed import jax_operations
from benchmarks.speed.cases import Case
from cnn_jax.analysis.stages import summarize
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.loading.device_dataset import DeviceDataset, HostBatch
from cnn_jax.models.variables import fresh_variables
from cnn_jax.ops import cpu_kernels
from cnn_jax.runtime import sharding
from cnn_jax.runtime.clock import Clock
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.runtime.step_schedule import StepSchedule
from cnn_jax.train import Training
from cnn_jax.training.experiment import Experiment, make_experiment
from configs.base import base

Steps = Callable[[int], Times]  # makes so many steps and says how long they took
WARM_STEPS = 3  # of the loop, before its watch runs
QUEUE = 16  # calls that an accelerator may have before it


class JaxServer:
    """What `serve` answers with; one case is under way at a time."""

    steps: Steps

    def prepare(
        self,
        case: Any,
        task: str,
        examples: int = 0,
        compiler_options: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Initialises and compiles; `examples` are those of the set that the loop goes through.

        `compiler_options` take the place of those of `runtime.sharding` on the CPU. Kernels that
        a machine makes once are made before.
        """
        cpu_kernels.library()
        if compiler_options is not None:
            sharding.CPU_OPTIONS = sharding.CPU_FORWARD = compiler_options
        case = Case(**case)
        watch = Stopwatch()
        if task == "operate":
            self.steps, net = operation_steps(case)
        else:
            self.steps, net = net_steps(case, task, examples)
        initialised = watch.read().seconds
        watch = Stopwatch()
        self.steps(1)
        first, watch = watch.read().seconds, Stopwatch()
        self.steps(1)
        second = watch.read().seconds
        return {
            "init_seconds": initialised,
            "compile_seconds": max(0.0, first - second),
            **net,
        }

    def round(self, steps: int) -> Times:
        return self.steps(steps)

    def memory(self) -> int:
        """Peak bytes: those on the device, where it has a memory of its own."""
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", peak_memory())

    def machine(self) -> dict[str, Any]:
        return machine() | {"backend": jax.default_backend()}

    def limits(self, dtype: str) -> dict[str, float]:
        """What this machine can do: FLOP/s of a matrix product, bytes/s of a copy."""
        width, bytes_ = (2048, 2**28) if jax.default_backend() == "cpu" else (8192, 2**32)
        matrix = jnp.ones((width, width), dtype)
        product = sharding.jit(jnp.matmul)
        flipped = [jnp.ones(bytes_ // 4, jnp.float32)]
        flip = sharding.jit(jnp.negative, donate_argnums=0)  # in place: no new pages to fetch

        def copy() -> jax.Array:
            flipped[0] = flip(flipped[0])
            return flipped[0]

        return {
            "flops": 2 * width**3 / fastest(lambda: product(matrix, matrix)),
            "bytes": 2 * bytes_ / fastest(copy),
        }


def operation_steps(case: Case) -> tuple[Steps, dict[str, int]]:
    """One operation's value and gradients."""
    run, facts = jax_operations.build(case)
    return repeated(run), facts


def repeated(call: Callable[[], Any]) -> Steps:
    """Calls that do not depend on each other: on a processor each is waited for, as PyTorch does;
    the queue of an accelerator is kept filled.
    """
    ahead = 0 if jax.default_backend() == "cpu" else QUEUE

    def steps(count: int) -> Times:
        watch, in_flight = Stopwatch(), sharding.InFlight(ahead)
        for _ in range(count):
            result = call()
            in_flight.add(result)
        jax.block_until_ready(result)
        return watch.read()

    return steps


def net_steps(case: Case, task: str, examples: int) -> tuple[Steps, dict[str, int]]:
    """Steps of a net, and what it is made of."""
    config = config_of(case)
    if task == "train":
        config.steps_per_dispatch = 1  # one that is bare of everything
    experiment = make_experiment(config, noise(case, max(examples, case.batch)))
    make = {"train": train_steps, "infer": infer_steps, "loop": loop_steps}[task]
    summary = summarize(experiment.step_spec.model, experiment.dataset.train.image_shape)
    return make(experiment), {
        "parameters": summary.parameters,
        "multiply_adds": summary.multiply_adds,
        "activation_bytes": summary.memory,
    }


def fastest(call: Callable[[], jax.Array], times: int = 10) -> float:
    """Seconds by wall time of the best of many."""
    seconds = []
    for _ in range(times):
        watch = Stopwatch()
        call().block_until_ready()
        seconds.append(watch.read().seconds)
    return min(seconds)


def config_of(case: Case) -> ConfigDict:
    config = base("speed", "cifar10", case.size)
    config.batch_size, config.devices, config.dtype = case.batch, 1, case.dtype
    config.data.channels = case.channels
    config.model.update({"name": case.model, "num_classes": case.classes, **case.options})
    config.loss.auxiliary_weights = (0.3, 0.3)
    return config


def noise(case: Case, examples: int) -> Dataset:
    """As many images as asked for, with labels, all by chance."""
    numbers = np.random.RandomState(0)
    images = numbers.randint(0, 256, (examples, case.size, case.size, case.channels), np.uint8)
    labels = numbers.randint(0, case.classes, examples).astype(np.int32)
    split = Split(images, labels, np.arange(examples, dtype=np.int32))
    task = Task("classification", tuple(map(str, range(case.classes))))
    return Dataset("noise", task, split, split, split)


def train_steps(experiment: Experiment) -> Steps:
    """The bare step, on one batch that lies on the device."""
    rows = np.arange(experiment.config.batch_size)
    batch = DeviceDataset.of(experiment.dataset.train).batch(rows, rows >= 0)
    loop = experiment.step_loop(loader=RepeatedBatch(HostBatch(jax.device_put(batch))))
    jax.block_until_ready(loop.carry)

    def steps(count: int) -> Times:
        stopwatch = Stopwatch()
        loop.last_step = loop.step + count
        for _ in loop:
            pass
        loop.wait()
        return stopwatch.read()

    return steps


def infer_steps(experiment: Experiment) -> Steps:
    """Logits of one batch in float32."""
    model, image_shape = experiment.step_spec.model, experiment.dataset.train.image_shape
    variables = jax.block_until_ready(fresh_variables(model, 0, image_shape))
    shape = experiment.config.batch_size, *image_shape
    images = jnp.asarray(np.random.RandomState(0).standard_normal(shape), jnp.float32)

    @sharding.jit_forward
    def logits(variables: Any, images: jax.Array) -> jax.Array:
        output: Any = model.apply(variables, images, train=False)
        return output.logits

    return repeated(lambda: logits(variables, images))


def watch(training: Training, count: int) -> Times:
    """The times of `count` steps of the training loop. The first few are not watched."""
    stopwatch = Stopwatch()
    for step in training:
        if step in (WARM_STEPS, WARM_STEPS + count):
            training.steps.wait()
        if step == WARM_STEPS:
            stopwatch = Stopwatch()
        if step == WARM_STEPS + count:
            break
    return stopwatch.read()


def loop_steps(experiment: Experiment) -> Steps:
    """The real loop over the set: feed, figures, log rows; no evaluation and no checkpoint."""

    def steps(count: int) -> Times:
        total = WARM_STEPS + count + 1  # the last, which evaluates, is not reached
        examples, batch_size = experiment.clock.examples, experiment.clock.batch_size
        clock = Clock(examples, batch_size, total * batch_size / examples)
        config = experiment.config.copy_and_resolve_references()
        config.eval_every_epochs = 2 * clock.epochs
        config.log_every_steps = min(config.log_every_steps, count)  # once at least
        with tempfile.TemporaryDirectory() as folder:
            watched = dataclasses.replace(
                experiment,
                clock=clock,
                config=config,
                # Pauses where the watch is read, and does nothing there.
                step_schedule=StepSchedule.of(config, clock, (WARM_STEPS, WARM_STEPS + count)),
            )
            training = Training(watched, Path(folder))
            try:
                return watch(training, count)
            finally:
                training.close()

    return steps


if __name__ == "__main__":
    retain_freed_memory()  # as all our command lines do
    jax.config.update("jax_enable_compilation_cache", False)
    server = JaxServer()
    serve(
        {
            name: getattr(server, name)
            for name in ("prepare", "round", "memory", "limits", "machine")
        }
    )
