"""What a run will hold, move and take on a machine that need not be there.

    python -m cnn_jax.tools.plan --config=configs/resnet50.py:imagenet2012 --on=v5e:2x4
    python -m cnn_jax.tools.plan --config=lenet5 --on=here

The run's own training step is compiled, for this machine (--on=here) or for a slice of TPUs that is
not there (--on=CHIP:TOPOLOGY, `pip install 'cnn_jax[plan]'`; chips: v4, v5e, v5p, v6e). From what
the compiler says of it follow memory, operations, bytes, collectives and, by the chip's published
peaks, the least time of a step and of the run. Data need not be there for a named set.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError
from cnn_jax.runtime.result_files import write_json

if TYPE_CHECKING:
    from cnn_jax.analysis.run_plan import RunPlan

GIGA, TERA = 1e9, 1e12


def main(argv: Sequence[str]) -> None:
    del argv
    if CONFIG.value is None:
        raise UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    if ON.value != "here":  # no device is used, and libtpu would look for one
        import jax

        jax.config.update("jax_platforms", "cpu")
        # A program for chips that are not here can be kept, and not be read again.
        jax.config.update("jax_enable_compilation_cache", False)
    from cnn_jax.analysis import abstract_run, chips, run_plan

    config = CONFIG.value.copy_and_resolve_references()
    if BATCH_SIZE.value:
        config.batch_size = BATCH_SIZE.value
    chip, devices = chips.devices_of(ON.value, config.parallel, config.devices, config.shards)
    dataset = abstract_run.dataset_of(config)
    plan = run_plan.plan_run(config, chip, devices, dataset)
    if LARGEST.value:
        size = run_plan.largest_batch(plan, devices, dataset)
        plan = dataclasses.replace(plan, largest_batch=size)
    print("\n".join(lines(plan)))
    measured = None
    if ON.value == "here" and plan.fits:
        measured = run_plan.measured_step(config, devices, dataset)
        low, _ = plan.step_seconds
        print(f"measured: a step takes {in_time(measured)}, {measured / low:.1f} times that")
    if JSON.value:
        write_json(JSON.value, record(plan, measured))


def lines(plan: RunPlan) -> Iterator[str]:
    """The plan for people."""
    config, chip, costs = plan.config, plan.chip, plan.costs
    yield (
        f"{config.model.name} on {config.data.name}, batch {config.batch_size:,}, {config.dtype}, "
        f"{config.parallel}, {config.optimizer.name}; {plan.chips} x {chip.name}; compiled in "
        f"{plan.compile_seconds:.0f} s"
    )
    if costs is None:
        yield f"does not fit: {plan.refusal}"
    else:
        yield (
            f"{'fits' if plan.fits else 'does not fit'}: {plan.used / GIGA:.2f} of "
            f"{chip.memory / GIGA:.1f} GB a chip"
        )
        parts = ", ".join(f"{name} {size / GIGA:.3f}" for name, size in plan.memory.items())
        yield f"memory a chip, GB: {parts}"
    if plan.largest_batch is not None:
        yield (
            f"largest batch that fits: {plan.largest_batch:,}, "
            f"{plan.largest_batch // plan.chips:,} a chip (by a line through two compiled ones)"
        )
    if costs is None:
        return
    fast = f" ({costs.touched / GIGA:.4g} with the fast memory)" * (costs.touched != costs.moved)
    yield (
        f"a chip and step: {costs.flops / TERA:.4g} TFLOP, {costs.moved / GIGA:.4g} GB to and from "
        f"memory{fast}"
    )
    for part in costs.collectives:
        yield f"{part.count} {part.kind}(s) of {part.size / 1e6:.4g} MB together"
    yield "at the peaks: " + ", ".join(f"{k} {in_time(v)}" for k, v in plan.roofline.items())
    low, high = plan.step_seconds
    images = config.batch_size
    yield (
        f"at the peaks a step takes {in_time(low)} ({images / low:,.0f} images/s); "
        f"{in_time(high)} ({images / high:,.0f} images/s) if the network waits for the rest"
    )
    hours = plan.steps * high / 3600
    yield (
        f"the run: {plan.steps:,} steps, {in_time(plan.steps * high)} at the peaks, "
        f"{hours * plan.chips:,.2f} chip-hours"
    )
    yield (
        f"assumed: peaks of {chip.source} ({chip.flops / TERA:.4g} TFLOP/s, "
        f"{chip.memory_speed / GIGA:.4g} GB/s, network {chip.network_speed / GIGA:.4g} GB/s a "
        "chip); all-reduces by rings; images arrive in time; no evaluation, no checkpoint"
    )


def in_time(seconds: float) -> str:
    """ "1.25 ms", "3.5 s", "12 min", "3.4 h"."""
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def record(plan: RunPlan, measured: float | None) -> dict[str, Any]:
    """The plan as JSON holds it."""
    import jax

    values: dict[str, Any] = {
        "model": plan.config.model.name,
        "data": plan.config.data.name,
        "batch_size": plan.config.batch_size,
        "optimizer": plan.config.optimizer.name,
        "dtype": plan.config.dtype,
        "parallel": plan.config.parallel,
        "chip": dataclasses.asdict(plan.chip),
        "chips": plan.chips,
        "steps": plan.steps,
        "fits": plan.fits,
        "refusal": plan.refusal,
        "memory_bytes": plan.memory,
        "largest_batch": plan.largest_batch,
        "jax": jax.__version__,
    }
    if plan.costs:
        low, high = plan.step_seconds
        values |= {
            "costs": dataclasses.asdict(plan.costs),
            "roofline_seconds": plan.roofline,
            "step_seconds": {"overlapped": low, "network_after": high},
            "chip_hours": plan.steps * high * plan.chips / 3600,
        }
    if measured is not None and math.isfinite(measured):
        values["measured_step_seconds"] = measured
    return values


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    ON = flags.DEFINE_string("on", "here", 'The machine: "here", or a slice like "v5e:2x4".')
    BATCH_SIZE = flags.DEFINE_integer("batch_size", 0, "In place of the config's.", lower_bound=0)
    LARGEST = flags.DEFINE_bool("largest", True, "Also say the largest batch; compiles once more.")
    JSON = cli.define_file("json", None, "File for the figures as JSON.")
    cli.run(main)
