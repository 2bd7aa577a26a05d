"""Accelerators by their published peaks, and devices that a program is compiled for."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.sharding import Devices

HERE = "here"


@dataclasses.dataclass(frozen=True)
class Chip:
    """Peaks of one chip; of a network without figures 0."""

    name: str
    flops: float  # a second, of bfloat16 products
    memory: float  # bytes
    memory_speed: float  # bytes a second
    network_speed: float  # bytes a second that leave the chip
    source: str


CLOUD = "docs.cloud.google.com/tpu/docs/"
# Of the network: v5e and v6e, half of the bidirectional bandwidth; v5p, 4,800 Gb/s; v4, the pod's
# all-reduce bandwidth over its 4,096 chips.
CHIPS = {
    "v4": Chip("TPU v4", 275e12, 32 * 2**30, 1200e9, 268e9, CLOUD + "v4"),
    "v5e": Chip("TPU v5e", 197e12, 16e9, 819e9, 200e9, CLOUD + "v5e"),
    "v5p": Chip("TPU v5p", 459e12, 95e9, 2765e9, 600e9, CLOUD + "v5p"),
    "v6e": Chip("TPU v6e", 918e12, 32e9, 1638e9, 400e9, CLOUD + "v6e"),
}
# What libtpu would otherwise ask a metadata server for, and its warnings of what it did not find.
QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}
# Words of libtpu's errors where another process has it open, not that a slice is unknown.
IN_USE = ("lockfile", "already in use")


def devices_of(on: str, mode: str, count: int = 0, shards: int = 0) -> tuple[Chip, Devices]:
    """ "here", or "CHIP:TOPOLOGY" like "v5e:2x4", which need not be there: its compiler is enough.

    Raises `UserError` for an unknown chip or topology, and where there is no such compiler.
    """
    if on == HERE:
        devices = Devices.create(mode, count, shards)
        return measured_chip(), devices
    kind, _, topology = on.partition(":")
    if kind in ("gpu", "cuda", "rocm", "a100", "h100", "h200", "b200"):
        raise UserError(
            f"--on={on}: JAX compiles for a GPU only where one is; there, --on=here does it"
        )
    if kind not in CHIPS or not topology:
        raise unknown("--on", on, [HERE, *(f"{chip}:2x2" for chip in CHIPS)])
    row = np.array(topology_devices(on))
    if count:
        row = row[:count]
    return CHIPS[kind], Devices.over(row, mode, shards)


def topology_devices(name: str) -> list[Any]:
    """Of a TPU slice that is not there."""
    from jax.experimental import topologies

    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            f"--on={name} needs the TPU's compiler: pip install 'cnn_jax[plan]' (libtpu)"
        )
    try:
        return list(topologies.get_topology_desc(platform="tpu", topology_name=name).devices)
    except Exception as error:  # of the plugin, whose type is jaxlib's alone
        reason = str(error).strip().splitlines()[0]
        if any(word in reason for word in IN_USE):
            raise UserError(
                f"--on={name}: another process has libtpu open, as one alone may: wait for its "
                f"end ({reason.partition(' Run ')[0][:160]})"
            ) from error
        raise UserError(f"--on={name} is no slice that libtpu knows ({reason[:160]})") from error


@functools.cache
def measured_chip() -> Chip:
    """This machine's first device: the best of a few products and copies."""
    device = jax.devices()[0]
    size = 2048 if device.platform == "cpu" else 8192
    a = jnp.ones((size, size), jnp.float32)
    big = jnp.ones(2**25 if device.platform == "cpu" else 2**28, jnp.float32)
    product, copy = jax.jit(jnp.matmul), jax.jit(lambda x: x + 1)
    flops = 2 * size**3 / best_time(lambda: product(a, a))
    speed = 2 * big.nbytes / best_time(lambda: copy(big))
    stats = device.memory_stats() or {}
    memory = stats.get("bytes_limit") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Chip(device.device_kind, flops, memory, speed, 0.0, "measured now, in float32")


def best_time(run: Callable[[], Any]) -> float:
    """Seconds, of four runs after the first."""
    jax.block_until_ready(run())
    times = []
    for _ in range(4):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return min(times)
