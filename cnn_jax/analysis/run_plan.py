"""What a run will hold, move and take on a machine, by its own compiled training step."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import jax
from ml_collections import ConfigDict

from cnn_jax import ops
from cnn_jax.analysis.abstract_run import (
    AbstractRun,
    abstract_run,
    bytes_per_device,
    dataset_of,
    on_target,
)
from cnn_jax.analysis.chips import Chip
from cnn_jax.analysis.compiled_program import ProgramCosts, costs_of
from cnn_jax.data.dataset import Dataset
from cnn_jax.runtime.sharding import Devices

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """Of one config on one machine; bytes, operations and seconds are a chip's and a step's."""

    config: ConfigDict
    chip: Chip
    chips: int
    steps: int
    memory: dict[str, int]  # by kind; empty where the program does not fit
    costs: ProgramCosts | None  # None where it does not fit
    refusal: str  # the compiler's words where it does not fit
    compile_seconds: float
    largest_batch: int | None = None  # None: not asked for, or not known

    @property
    def used(self) -> int:
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        return self.costs is not None and self.used <= self.chip.memory

    @property
    def roofline(self) -> dict[str, float]:
        """Seconds that each part takes at the chip's peak."""
        assert self.costs is not None
        network = 0.0
        if self.chips > 1 and self.chip.network_speed:
            network = self.costs.sent(self.chips) / self.chip.network_speed
        return {
            "compute": self.costs.flops / self.chip.flops,
            "memory": self.costs.moved / self.chip.memory_speed,
            "network": network,
        }

    @property
    def step_seconds(self) -> tuple[float, float]:
        """(with everything at the same time, with the network after the rest)."""
        parts = self.roofline
        own = max(parts["compute"], parts["memory"])
        return max(own, parts["network"]), own + parts["network"]


def plan_run(
    config: ConfigDict, chip: Chip, devices: Devices, dataset: Dataset | None = None
) -> RunPlan:
    """Compiles the step for the devices; raises `UserError` for what a run would be refused for."""
    dataset = dataset or dataset_of(config)
    started = time.monotonic()
    with on_target(devices):
        run = abstract_run(config, devices, dataset)
        lowered = run.lower()
        common: dict[str, Any] = {
            "config": config,
            "chip": chip,
            "chips": devices.count,
            "steps": run.clock.total_steps,
        }
        try:
            compiled = lowered.compile()
        except Exception as error:  # its type differs between versions of jaxlib
            if OUT_OF_MEMORY not in str(error):
                raise
            words = str(error).partition(OUT_OF_MEMORY)[2].strip(" :").splitlines()[0]
            seconds = time.monotonic() - started
            return RunPlan(**common, memory={}, costs=None, refusal=words, compile_seconds=seconds)
        platform = devices.mesh.devices.flat[0].platform
        costs = costs_of(compiled, platform)
        if platform == "cpu":
            costs = dataclasses.replace(costs, flops=reference_flops(run) / devices.count)
    memory = {**resident(run), "activations": costs.temporary, "program": costs.code}
    seconds = time.monotonic() - started
    return RunPlan(**common, memory=memory, costs=costs, refusal="", compile_seconds=seconds)


def reference_flops(run: AbstractRun) -> float:
    """Of the whole batch, by the reference operations: XLA cannot look into the CPU's kernels."""
    with ops.reference_ops():
        again = abstract_run(run.config, run.devices, dataset_of(run.config)).lower()
    costs = again.cost_analysis()
    return float((costs[0] if isinstance(costs, list) else costs)["flops"])


def resident(run: AbstractRun) -> dict[str, int]:
    """Bytes on a device that are there before the step, by kind."""
    state = run.carry.state
    parts = {
        "parameters": (state.params, state.frozen),
        "statistics": state.batch_stats,
        "optimizer": (state.opt_state, state.lr_plateau_state, state.rate_factor),
        "average": state.ema_variables,
        "data": run.batches,
    }
    return {name: size for name, tree in parts.items() if (size := bytes_per_device(tree))}


def largest_batch(plan: RunPlan, devices: Devices, dataset: Dataset) -> int | None:
    """The largest batch that fits, by a line through the memory of two compiled ones.

    The second has half the images a chip; 0 where not one image fits, None where neither compiles,
    or the line does not rise.
    """
    config = plan.config.copy_and_resolve_references()
    unit = devices.count * config.accumulate
    plans = {config.batch_size: plan} if plan.costs else {}
    while len(plans) < 2:
        size = min([config.batch_size, *plans]) // 2 // unit * unit
        if size < unit:
            return None
        config.batch_size = size
        smaller = plan_run(config, plan.chip, devices, dataset)
        if smaller.costs:
            plans[size] = smaller
    (low, small), (high, large) = sorted(plans.items())
    slope = (large.used - small.used) / (high - low)
    if slope <= 0:
        return None
    most = high + (plan.chip.memory - large.used) / slope
    return max(0, int(most // unit) * unit)


def measured_step(config: ConfigDict, devices: Devices, dataset: Dataset) -> float:
    """Seconds of a step of images that are all zero, on this machine; the best of three."""
    with on_target(devices):
        run = abstract_run(config, devices, dataset)
        program = run.lower().compile()

    def zeros(tree: Any) -> Any:
        make = lambda x: jax.device_put(jax.numpy.zeros(x.shape, x.dtype), x.sharding)  # noqa: E731
        return jax.tree.map(make, tree)

    carry, batches, seconds = zeros(run.carry), zeros(run.batches), []
    for _ in range(4):
        start = time.perf_counter()
        carry, done = program(carry, batches, 1) if run.loop else program(carry, batches)
        jax.block_until_ready(done)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
