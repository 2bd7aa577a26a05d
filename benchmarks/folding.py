"""What folding BatchNorm into the convolutions is worth in an exported program.

    python -m benchmarks.folding --out=benchmarks/results/folding.json

Each net with random weights is exported as it is and folded; the two programs answer the same batch
in turns, and a round's ratio is of their CPU seconds, so that other work on the machine falls on
both. Medians with quartiles of the rounds; the difference of outputs beside the largest of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from benchmarks.harness.machine import machine
from benchmarks.harness.worker import Stopwatch
from cnn_jax import cli, models
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.inference.exporting import export_program
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.runtime.progress import track
from configs.base import base

NETS = {"resnet18": 8, "mobilenet_v2": 4, "resnet50_v1_5": 2}  # name -> images a batch

ROUNDS = flags.DEFINE_integer("rounds", 11, "Turns of each program.")
OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")


def main(_: Sequence[str]) -> None:
    found = {name: measure(name, batch) for name, batch in track(NETS.items(), "nets")}
    for name, row in found.items():
        low, middle, high = row["speed_of_folded"]
        print(
            f"{name}, batch {row['batch']}: {middle:.3f} times the speed "
            f"({low:.3f} to {high:.3f}), outputs differ by {row['difference']:.1e} of the largest"
        )
    if OUT.value:
        content = {"rounds": ROUNDS.value, "nets": found, "machine": machine()}
        Path(OUT.value).write_text(json.dumps(content, indent=1) + "\n")


def measure(name: str, batch: int) -> dict[str, Any]:
    net = random_net(name)
    images = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), np.uint8)
    programs = [jax.jit(program_of(net, folded)) for folded in (False, True)]
    plain, folded = (np.asarray(program(images)) for program in programs)  # compiled
    seconds = np.array([[timed(p, images) for p in programs] for _ in range(ROUNDS.value)])
    return {
        "batch": batch,
        "speed_of_folded": np.quantile(seconds[:, 0] / seconds[:, 1], (0.25, 0.5, 0.75)).tolist(),
        "difference": float(np.abs(plain - folded).max() / np.abs(plain).max()),
    }


def random_net(name: str) -> LoadedNet:
    """At its start, with images as they are from 0 to 1."""
    model, shape = models.create(name), models.REGISTRY[name].input_shape
    variables = jax.jit(model.init)(jax.random.key(0), np.zeros((1, *shape), np.float32))
    preparation = ImagePreparation(
        ResizeSpec(shape[0], "bilinear", shape[2]),
        InputStatistics(np.float32(0), np.float32(1 / 255)),
    )
    task = Task("classification", tuple(map(str, range(model.num_classes))))
    config = base(name, "digits", image_size=8)
    return LoadedNet(name, model, variables, task, preparation, config, "at its start")


def program_of(net: LoadedNet, folded: bool) -> Callable:
    return export_program(net, folded=folded).call


def timed(program: Callable, images: np.ndarray) -> float:
    """CPU seconds of all threads."""
    watch = Stopwatch()
    program(images).block_until_ready()
    return watch.read().cpu_seconds


if __name__ == "__main__":
    cli.run(main)
