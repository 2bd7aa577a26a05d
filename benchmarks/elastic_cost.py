"""What elastic bits cost: a step in elastic mode against one in jit, in this process.

    python -m benchmarks.elastic_cost --config=lenet5 --batch_size=256 --shards=8

Both are timed in turns, so that other work on the machine falls on both; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

import jax

from cnn_jax.cli import load_open_config
from cnn_jax.training.experiment import make_experiment
from cnn_jax.training.step_loop import StepLoop


def loop_of(name: str, mode: str, batch_size: int, shards: int) -> StepLoop:
    config = load_open_config(name).copy_and_resolve_references()
    config.unlock()
    config.update({"parallel": mode, "shards": shards, "batch_size": batch_size, "epochs": 100.0})
    return make_experiment(config).step_loop()


def seconds(loop: StepLoop, steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        next(loop)
        loop.wait()
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="lenet5")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4)
    options = parser.parse_args()
    loops = {
        mode: loop_of(options.config, mode, options.batch_size, options.shards)
        for mode in ("jit", "elastic")
    }
    for loop in loops.values():
        seconds(loop, 2)
    times = {mode: [] for mode in loops}
    for _ in range(options.rounds):
        for mode, loop in loops.items():
            times[mode].append(seconds(loop, options.steps))
    jit, elastic = (statistics.median(times[mode]) for mode in ("jit", "elastic"))
    print(
        f"{options.config}, batch {options.batch_size}, {options.shards} shards on "
        f"{jax.device_count()} {jax.default_backend()} device(s): jit {jit * 1e3:.1f} ms, elastic "
        f"{elastic * 1e3:.1f} ms a step, {elastic / jit:.2f} times"
    )


if __name__ == "__main__":
    main()
