"""Devices: the mesh, what lies where on it, and how a step runs over it.

`jit`: the batch is sharded over all devices and the program is written for the whole batch, so that
BatchNorm sees the global batch. `pmap`: one replica a device; each normalises by its own images
and keeps its own running statistics, and the gradients are averaged. (`jax.pmap` is a `shard_map`
under `jit` since jax 0.8; here that is written out, so that state, data and checkpoints are the
same global arrays in both modes.) `elastic`: a fixed number of replicas, the shards, on any number
of devices; see `training.elastic`.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime import target

MODES = ("jit", "pmap", "elastic")
AXIS = "data"

# jaxlib sends a convolution's kernel gradient on the CPU to YNNPACK, 5 to 15 times slower than
# Eigen does it; its dots and reductions are the faster ones. The value replaces the whole list.
CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}

# Without a backward pass nothing of YNNPACK is faster, and a mean over a map draws the convolutions
# before it into YNNPACK: for ResNet-18 on one image 94 ms instead of 20.
CPU_FORWARD = {"xla_cpu_experimental_ynn_fusion_type": ""}

# For programs that run once or once an epoch: a quarter of the time to compile random numbers.
CPU_ONCE = {"xla_backend_optimization_level": 1}


def known(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """The XLA options on the CPU, None elsewhere and where this jaxlib does not know them."""
    return known_on_cpu(options) if target.platform() == "cpu" else None


@functools.cache
def known_on_cpu(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    try:
        jax.jit(lambda x: x, compiler_options=dict(options))(0.0)
    except Exception:  # the error's type differs between versions of jaxlib
        return None
    return dict(options)


def jit(function: Callable, **options: Any) -> Callable:
    """`jax.jit` for a step: compiled to run fast on this backend."""
    return jax.jit(function, compiler_options=known(tuple(CPU_OPTIONS.items())), **options)


def jit_forward(function: Callable, **options: Any) -> Callable:
    """`jax.jit` for a net without a backward pass: compiled to run fast on this backend."""
    return jax.jit(function, compiler_options=known(tuple(CPU_FORWARD.items())), **options)


def jit_once(function: Callable, **options: Any) -> Callable:
    """`jax.jit` for what runs seldom: compiled fast."""
    return jax.jit(function, compiler_options=known(tuple(CPU_ONCE.items())), **options)


class InFlight:
    """Results that are being computed, at most `limit` of them."""

    def __init__(self, limit: int):
        self.limit = limit
        self._results: collections.deque[Any] = collections.deque()

    def add(self, result: Any) -> None:
        """Waits for the oldest when there are too many."""
        self._results.append(result)
        while len(self._results) > self.limit:
            jax.block_until_ready(self._results.popleft())

    def wait(self) -> None:
        """Waits for all."""
        jax.block_until_ready(list(self._results))
        self._results.clear()


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices in one row, and the mode in which a step uses them."""

    mode: str
    mesh: Mesh
    shards: int = 0  # of the batch, in elastic mode

    @classmethod
    def create(cls, mode: str, count: int = 0, shards: int = 0) -> Devices:
        """The first `count` devices, or all for 0; in elastic mode over so many shards."""
        if mode not in MODES:
            raise unknown("parallel", mode, MODES)
        devices = jax.devices()
        if not 0 <= count <= len(devices):
            raise UserError(f"devices={count}, but there are {len(devices)}; choose devices=0: all")
        return cls.over(np.array(devices[: count or None]), mode, shards)

    @classmethod
    def over(cls, row: np.ndarray, mode: str, shards: int = 0) -> Devices:
        """These very devices."""
        if mode != "elastic":
            shards = 0
        elif shards & (shards - 1) or shards % len(row):
            most = 2 ** (len(row).bit_length() - 1)
            fits = f"shards={max(most, 8)}" if most == len(row) else f"devices={most}"
            raise UserError(
                f"shards={shards} must be a power of two that {len(row)} devices divide, for "
                f"parallel='elastic': choose {fits}"
            )
        return cls(mode, Mesh(row, (AXIS,), axis_types=(AxisType.Auto,)), shards)

    @property
    def count(self) -> int:
        return self.mesh.size

    @property
    def max_in_flight(self) -> int:
        """How many steps may be under way at once.

        Collectives of several CPU "devices" wait for each other on few threads: two programs at a
        time can wait forever.
        """
        return 0 if self.count > 1 and target.platform() == "cpu" else 4

    @property
    def replicas(self) -> int:
        """How many copies of the BatchNorm statistics there are."""
        return {"pmap": self.count, "elastic": self.shards}.get(self.mode, 1)

    @property
    def parts(self) -> int:
        """What a batch is divided over: devices, or shards."""
        return self.shards or self.count

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    @property
    def batch_sharding(self) -> NamedSharding:
        """The leading axis divided over the devices."""
        return NamedSharding(self.mesh, P(AXIS))

    def shard_batch(self, array: jax.Array) -> jax.Array:
        """Within a program: the leading axis divided over the devices."""
        return jax.lax.with_sharding_constraint(array, self.batch_sharding)

    def replicate(self, tree: Any) -> Any:
        """The same value on every device."""
        return jax.device_put(tree, self.replicated)

    def check_batch(self, batch_size: int, microbatches: int) -> None:
        if batch_size < 1 or batch_size % (self.parts * microbatches):
            raise UserError(
                f"batch_size={batch_size} does not divide over {self.parts} "
                f"{'shards' if self.shards else 'devices'}"
                + (f" x accumulate={microbatches} parts" if microbatches > 1 else "")
                + f"; choose batch_size={self.round_up(batch_size, microbatches)}, or more"
            )

    def round_up(self, batch_size: int, microbatches: int = 1) -> int:
        """The next multiple of what every device and part of the batch needs."""
        unit = self.parts * microbatches
        return max(1, -(-batch_size // unit)) * unit
