"""What folding BatchNorm into the convolutions is worth in an exported program.

    python -m benchmarks.folding --out=benchmarks/results/folding.json

Each net with random weights is exported as it is, folded, and with its norms left out, which no
folding can be quicker than. The programs answer the same batch in turns, and a round's ratio is of
their CPU seconds, so that other work on the machine falls on all. Medians with quartiles of the
rounds; the difference of outputs beside the largest of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from absl import flags

from benchmarks.harness.machine import machine
from benchmarks.harness.worker import Stopwatch
from cnn_jax import cli, models
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.normalization import InputStatistics
from cnn_jax.inference.exporting import export_program, make_function
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.inference.preparation import ImagePreparation
from cnn_jax.models.layers import BatchNorm
from cnn_jax.runtime.progress import track
from configs.base import base

NETS = ("resnet18", "mobilenet_v2")
BATCHES = (1, 32)

ROUNDS = flags.DEFINE_integer("rounds", 11, "Turns of each program.")
OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")


def main(_: Sequence[str]) -> None:
    cases = [(name, batch) for name in NETS for batch in BATCHES]
    found = [measure(name, batch) for name, batch in track(cases, "programs")]
    for row in found:
        print(f"{row['net']}, batch {row['batch']}, {row['milliseconds']:.0f} ms of CPU a batch:")
        for key in ("folded", "without norms"):
            low, middle, high = row["speed"][key]
            print(f"  {key}: {middle:.3f} times the speed ({low:.3f} to {high:.3f})")
        print(f"  folded outputs differ by {row['difference']:.1e} of the largest")
    if OUT.value:
        content = {"rounds": ROUNDS.value, "programs": found, "machine": machine()}
        Path(OUT.value).write_text(json.dumps(content, indent=1) + "\n")


def measure(name: str, batch: int) -> dict[str, Any]:
    net = random_net(name)
    images = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), np.uint8)
    programs = [
        jax.jit(program).lower(images).compile()
        for program in (program_of(net, False), program_of(net, True), without_norms(net))
    ]
    plain, folded, _ = (np.asarray(program(images)) for program in programs)
    seconds = np.array([[timed(p, images) for p in programs] for _ in range(ROUNDS.value)])
    ratios = np.quantile(seconds[:, :1] / seconds[:, 1:], (0.25, 0.5, 0.75), axis=0).T
    return {
        "net": name,
        "batch": batch,
        "milliseconds": 1e3 * float(np.median(seconds[:, 0])),
        "speed": dict(zip(("folded", "without norms"), ratios.tolist(), strict=True)),
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


def without_norms(net: LoadedNet) -> Callable:
    """The exported function where every BatchNorm gives what it is given."""

    def leave_out(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        is_norm = isinstance(context.module, BatchNorm) and context.method_name == "__call__"
        return args[0] if is_norm else call(*args, **kwargs)

    def run(images: jax.Array) -> jax.Array:
        with nn.intercept_methods(leave_out):
            return make_function(net)(images)

    return run


def timed(program: Callable, images: np.ndarray) -> float:
    """CPU seconds of all threads."""
    watch = Stopwatch()
    program(images).block_until_ready()
    return watch.read().cpu_seconds


if __name__ == "__main__":
    cli.run(main)
