"""One process of a run whose steps are timed; `benchmarks.scaling` starts it."""

from __future__ import annotations

from typing import Any

from benchmarks.harness.worker import Stopwatch, Times, serve

LOOPS: dict[str, Any] = {}


def join(address: str, processes: int, index: int) -> int:
    """Devices of the run."""
    import jax

    from cnn_jax.runtime.compilation_cache import enable_compilation_cache
    from cnn_jax.runtime.malloc import retain_freed_memory

    retain_freed_memory()  # as all our command lines do
    enable_compilation_cache()
    if processes > 1:
        jax.distributed.initialize(address, processes, index)
    return jax.device_count()


def prepare(net: str, batch: int) -> list[dict[str, Any]]:
    """Compiles the step, makes two, and gives its collectives; the same call for all processes."""
    from cnn_jax.analysis.compiled_program import collectives
    from cnn_jax.cli import load_open_config
    from cnn_jax.training.experiment import make_experiment

    config = load_open_config(f"{net}:digits").copy_and_resolve_references()
    config.unlock()
    config.update({"batch_size": batch, "epochs": 1e6, "parallel": "jit", "augment": ()})
    config.steps_per_dispatch = 1
    experiment = make_experiment(config)
    LOOPS[f"{net} {batch}"] = loop = experiment.step_loop()
    for _ in range(2):
        next(loop)
    loop.wait()
    step: Any = experiment.compiled.train_steps(0)
    program = step.lower(loop.carry, loop.loader.batch_at(2), 1).compile()  # known by now
    return [vars(part) for part in collectives(program.as_text())]


def round(net: str, batch: int, steps: int) -> Times:
    loop, watch = LOOPS[f"{net} {batch}"], Stopwatch()
    for _ in range(steps):
        next(loop)
        loop.wait()
    return watch.read()


if __name__ == "__main__":
    serve({"join": join, "prepare": prepare, "round": round})
