"""The compared programs: our training step and the same net as Flax's example, for one target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from benchmarks.tpu_traffic import flax_nets, flax_step
from cnn_jax.analysis.abstract_run import abstract_run, dataset_of, on_target
from cnn_jax.analysis.chips import Chip
from cnn_jax.analysis.compiled_program import costs_of
from cnn_jax.analysis.main_memory import main_memory_bytes
from cnn_jax.cli import load_open_config
from cnn_jax.runtime.sharding import Devices

BATCH, SIZE, DTYPE = 128, 224, jnp.bfloat16  # a chip


@dataclasses.dataclass(frozen=True)
class Net:
    """Ours by its config for ImageNet and what is changed of its model; Flax's by its class."""

    config: str
    options: dict[str, Any]
    flax: Callable[[Any], nn.Module]


# ResNet strides where Flax's does; GoogLeNet has BatchNorm, as LRN is no layer of Flax.
NETS = {
    "resnet50": Net("resnet50", {"name": "resnet50_v1_5"}, flax_nets.ResNet50),
    "googlenet": Net("googlenet", {"norm": "batch", "lrn": False}, flax_nets.GoogLeNet),
    "efficientnet_b0": Net("efficientnet", {}, flax_nets.EfficientNetB0),
}
PROGRAMS = ("ours", "flax")


def our_config(net: Net, chips: int) -> ConfigDict:
    """With the example's optimiser and loss; flips stay in the step, where they are ours."""
    config = load_open_config(f"{net.config}:imagenet2012").copy_and_resolve_references()
    config.unlock()
    config.model.update(net.options)
    config.update({"dtype": jnp.dtype(DTYPE).name, "batch_size": BATCH * chips})
    config.update({"average_decay": 0.0, "population_statistics": 0})
    config.augment = ("horizontal_flip",)
    config.data.normalisation = "imagenet"
    config.data.image_size = SIZE
    config.loss.label_smoothing = 0.0
    config.optimizer = load_open_config("resnet50:imagenet2012").optimizer
    config.schedule.name = "cosine"
    return config


def compiled(name: str, program: str, devices: Devices) -> tuple[Any, int]:
    """(`jax.stages.Compiled` of one of `PROGRAMS`, parameters of its net)."""
    net = NETS[name]
    with on_target(devices):
        if program == "flax":
            batch = BATCH * devices.count
            lowered, count = flax_step.lowered(net.flax(DTYPE), batch, SIZE, DTYPE, devices)
        else:
            config = our_config(net, devices.count)
            run = abstract_run(config, devices, dataset_of(config))
            lowered, params = run.lower(), (run.carry.state.params, run.carry.state.frozen)
            count = sum(x.size for x in jax.tree.leaves(params))
        return lowered.compile(), count


def figures(program: Any, parameters: int, chip: Chip) -> dict[str, Any]:
    """Of a compiled program, a chip and step: bytes, operations, seconds at the chip's peaks."""
    costs, memory, text = costs_of(program), program.memory_analysis(), program.as_text()
    read, written = main_memory_bytes(text)
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    compute, traffic = costs.flops / chip.flops, (read + written) / chip.memory_speed
    return {
        "parameters": parameters,
        "read_bytes": read,
        "written_bytes": written,
        "moved_bytes": read + written,
        "xla_bytes_accessed": costs.touched,
        "held_bytes": held + costs.temporary + costs.code,
        "flops": costs.flops,
        "compute_seconds": compute,
        "memory_seconds": traffic,
        "roofline_share": compute / max(compute, traffic),
    }
