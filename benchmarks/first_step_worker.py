"""The first step of a net in a fresh process, by its parts; `benchmarks.first_step` starts it."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness.worker import peak_memory, serve
from benchmarks.speed.cases import Case
from cnn_jax.runtime.garbage import search_seldom

# Initial values are drawn beside trace, lowering and compilation; "init" is what is left of it.
PARTS = ("imports", "dataset", "trace", "lower", "compile", "init", "step")


class Parts:
    """Wall and CPU seconds of parts that follow each other."""

    def __init__(self):
        self.found: dict[str, tuple[float, float]] = {}
        self.wall, self.cpu = time.perf_counter(), 0.0  # CPU: of the process, so with its start

    def end(self, part: str) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.found[part] = wall - self.wall, cpu - self.cpu
        self.wall, self.cpu = wall, cpu


def first_step(case: dict[str, Any]) -> dict[str, Any]:
    """Part -> (wall, CPU) seconds, and what the program of the step is made of."""
    parts = Parts()
    search_seldom()  # as all our command lines do
    import jax
    import numpy as np

    from benchmarks.harness.repeated_batch import RepeatedBatch
    from benchmarks.speed.jax_worker import config_of, noise
    from cnn_jax.data.loading.device_dataset import DeviceDataset, HostBatch
    from cnn_jax.runtime.compilation_cache import enable_compilation_cache
    from cnn_jax.runtime.malloc import retain_freed_memory
    from cnn_jax.training.experiment import make_experiment

    retain_freed_memory()
    enable_compilation_cache()
    parts.end("imports")
    net = Case(**case)
    config = config_of(net)
    config.steps_per_dispatch = 1
    experiment = make_experiment(config, noise(net, net.batch))
    rows = np.arange(net.batch)
    batch = DeviceDataset.of(experiment.dataset.train).batch(rows, rows >= 0)
    source = HostBatch(jax.device_put(batch))
    parts.end("dataset")
    loop = experiment.step_loop(loader=RepeatedBatch(source))
    train_steps: Any = experiment.compiled.train_steps(0)
    traced = train_steps.trace(experiment.compiled.abstract, source, 1)  # as the loop does it
    parts.end("trace")
    lowered = traced.lower()
    parts.end("lower")
    compiled = lowered.compile()
    parts.end("compile")
    jax.block_until_ready(loop.carry)
    parts.end("init")
    next(loop)  # finds it compiled
    loop.wait()
    parts.end("step")
    memory = compiled.memory_analysis()
    return {
        "parts": parts.found,
        "instructions": lowered.as_text().count(" = "),
        "instructions_optimised": compiled.as_text().count(" = "),
        "temporary_bytes": getattr(memory, "temp_size_in_bytes", 0),
        "peak_bytes": peak_memory(),
    }


if __name__ == "__main__":
    serve({"first_step": first_step})
