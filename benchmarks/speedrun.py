"""Whole trainings of a short recipe on one device, one after another: seconds and accuracy.

    python -m benchmarks.speedrun --runs=N [--config=speedrun:94] [--data_dir=PATH] [--out=FILE]

All is compiled before the first run; images lie on the device. A run begins with fresh weights,
another order and other draws of augmentation, and waits for the device once, when its accuracy is
known. Seconds are of training and evaluation; that of compiling, and of the whitening weights,
which are the same in every run, are given beside. The answers of the protocol `shifts` are averaged
as logits: half of the middle, a quarter of each shift, and of each the mirror image (Jordan 2024).
Every run adds a line of JSON to FILE.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from scipy import special

from benchmarks.harness.machine import in_words, machine
from cnn_jax import cli
from cnn_jax.data.loading.device_dataset import DeviceDataset, TrainOrder
from cnn_jax.data.loading.sampler import epoch_order
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import Experiment, make_experiment, make_whitening
from cnn_jax.training.train_step import TrainStepSpec, Variables

VIEWS_AT_ONCE = 2000  # images that evaluation takes at a time


def main(argv: Sequence[str]) -> None:
    del argv
    config = CONFIG.value or cli.load_open_config("speedrun:94")
    if DATA_DIR.value:
        with config.unlocked():
            config.data.dir = DATA_DIR.value
    found = measure(config, RUNS.value, Path(OUT.value))
    print(in_words(machine()))
    print(summary(config, found))


def measure(config: ConfigDict, runs: int, out: Path) -> list[dict[str, Any]]:
    """The runs' figures, each written to `out` when it is known."""
    config.devices = 1
    experiment = make_experiment(config)
    start = time.perf_counter()
    make_whitening(config, experiment.step_spec, experiment.dataset)
    whitening = time.perf_counter() - start
    race = Race(experiment)
    start = time.perf_counter()
    race.warm_up()
    compiling = time.perf_counter() - start
    facts = {"machine": machine(), "config": config.to_dict()}
    facts |= {"seconds_compiling": compiling, "seconds_whitening": whitening}
    out.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for number in track(range(runs), "training"):
        found.append(race.run(config.seed + number) | facts)
        with out.open("a") as file:
            file.write(json.dumps(found[-1]) + "\n")
    return found


class Race:
    """An experiment whose data lie on the device, and its compiled evaluation."""

    def __init__(self, experiment: Experiment):
        self.experiment, replicate = experiment, experiment.devices.replicate
        self.train = replicate(DeviceDataset.of(experiment.dataset.train))
        self.test = replicate(DeviceDataset.of(experiment.dataset.test))
        pixels = 0
        if experiment.protocol is not None and experiment.protocol.name == "shifts":
            pixels = int(experiment.protocol.numbers[0])
        spec = experiment.step_spec
        self.correct = jax.jit(lambda variables, test: correct_of(spec, variables, test, pixels))

    def warm_up(self) -> None:
        """Compiles what a run needs, by a step of each phase and an evaluation."""
        carry = self.experiment.compiled.init()
        for first in self.experiment.compiled.first_steps:
            train_steps = self.experiment.compiled.train_steps(first)
            carry, _ = train_steps(carry, self.order(0, 0, self.train), 1)
        int(self.correct(carry.state.variables, self.test))

    def order(self, seed: int, epoch: int, data: DeviceDataset) -> TrainOrder:
        """The orders of two epochs, on their way to the device."""
        rows = [epoch_order(seed, e, len(data.label)) for e in (epoch, epoch + 1)]
        place = self.experiment.devices.replicate
        return TrainOrder(data, *place((np.int32(epoch), np.concatenate(rows))))

    def run(self, seed: int) -> dict[str, Any]:
        """One training from fresh weights: {"seed", "seconds", "accuracy" in percent}."""
        compiled, clock = self.experiment.compiled, self.experiment.clock
        # Draws are by id: with other ids they are others, and nothing is compiled again.
        data = self.train.replace(id=self.train.id + seed * len(self.train.label))
        carry = jax.block_until_ready(compiled.init(seed))
        start, step = time.perf_counter(), 0
        while step < clock.total_steps:
            epoch = clock.epoch_of(step)
            order = self.order(seed, epoch, data)
            last = min(clock.step_at(epoch + 1), clock.total_steps)
            while step < last:
                ends = [last, *(first for first in compiled.first_steps if first > step)]
                # Where a loop is slow, on the CPU, a call is a step.
                steps = min(ends) - step if self.experiment.steps_per_dispatch > 1 else 1
                carry, _ = compiled.train_steps(step)(carry, order, steps)
                step += steps
        correct = int(self.correct(carry.state.variables, self.test))
        seconds = time.perf_counter() - start
        accuracy = 100 * correct / len(self.test.label)
        return {"seed": seed, "seconds": seconds, "accuracy": accuracy}


def correct_of(
    spec: TrainStepSpec, variables: Variables, test: DeviceDataset, pixels: int
) -> jax.Array:
    """How many images of a set the net knows, by shifts of so many pixels; 0: as they are."""

    def logits(images: jax.Array) -> jax.Array:
        found = spec.apply(variables, images, train=False).logits
        return found.astype(jnp.float32)

    def is_right(image: jax.Array, label: jax.Array) -> jax.Array:
        images = spec.normalise(image.astype(jnp.float32))
        found = shifted_logits(logits, images, pixels) if pixels else logits(images)
        return found.argmax(-1) == label

    count = len(test.label)
    size = min(VIEWS_AT_ONCE, count)
    right = [
        is_right(test.image[first : first + size], test.label[first : first + size])
        for first in range(0, count, size)
    ]
    return jnp.concatenate(right).sum()


def shifted_logits(logits: Any, images: jax.Array, pixels: int) -> jax.Array:
    """Of images [B, S, S, C] the weighted mean logits [B, K] of six views.

    Half of the middle, a quarter of each of two shifts; of each half is of the mirror image.
    """
    side, width = images.shape[1:3]
    pads = [(0, 0), (pixels, pixels), (pixels, pixels), (0, 0)]
    padded = jnp.pad(images, pads, "reflect")
    views = [padded[:, i : i + side, i : i + width] for i in (0, 2 * pixels)]
    both = lambda x: (logits(x) + logits(x[:, :, ::-1])) / 2  # noqa: E731
    return both(images) / 2 + sum(map(both, views)) / 4


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean, by Student's t."""
    n, mean = len(values), float(np.mean(values))
    half = special.stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n)
    return mean - half, mean + half


def summary(config: ConfigDict, found: list[dict[str, Any]]) -> str:
    """The means with their 95 % intervals."""
    lines = [f"{config.model.name}, {config.epochs:g} epochs of batch {config.batch_size}"]
    for key, unit in (("seconds", "s"), ("accuracy", "%")):
        values = [run[key] for run in found]
        line = f"{key}: {np.mean(values):.3f} {unit} over {len(values)} run(s)"
        if len(values) > 1:
            line += ", 95 % interval {:.3f} to {:.3f}".format(*interval(values))
        lines.append(line)
    compiling, first = found[0]["seconds_compiling"], found[0]["seconds"]
    lines.append(f"the first run with compilation: {compiling + first:.1f} s")
    lines.append(f"whitening, on the host, once: {found[0]['seconds_whitening']:.2f} s more")
    return "\n".join(lines)


if __name__ == "__main__":
    CONFIG = cli.define_config()
    RUNS = flags.DEFINE_integer("runs", 10, "How many trainings.", lower_bound=1)
    DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the official files are.")
    OUT = flags.DEFINE_string("out", "runs/speedrun.jsonl", "Where each run adds a line.")
    cli.run(main)
