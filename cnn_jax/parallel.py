"""Devices: the mesh, what lies where on it, and how a step runs over it.

`jit`: the batch is sharded over all devices and the program is written for the whole batch, so that
BatchNorm sees the global batch. `pmap`: one replica a device; each normalises by its own images
and keeps its own running statistics, and the gradients are averaged. (`jax.pmap` is a `shard_map`
under `jit` since jax 0.8; here that is written out, so that state, data and checkpoints are the
same global arrays in both modes.)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from cnn_jax.errors import UserError, unknown

MODES = ("jit", "pmap")
AXIS = "data"

# jaxlib sends a convolution's kernel gradient on the CPU to YNNPACK, 5 to 15 times slower than
# Eigen does it; its dots and reductions are the faster ones. The value replaces the whole list.
CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


@functools.cache
def compiler_options() -> dict[str, str] | None:
    """XLA options for every step on this backend; None where this jaxlib does not know them."""
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=CPU_OPTIONS)(0.0)
    except Exception:  # the error's type differs between versions of jaxlib
        return None
    return CPU_OPTIONS


def jit(function: Callable, **options: Any) -> Callable:
    """`jax.jit` with this backend's compiler options."""
    return jax.jit(function, compiler_options=compiler_options(), **options)


@dataclasses.dataclass(frozen=True)
class Devices:
    """All devices in one row, and the mode in which a step uses them."""

    mode: str
    mesh: Mesh

    @classmethod
    def all(cls, mode: str) -> Devices:
        if mode not in MODES:
            raise unknown("parallel", mode, MODES)
        return cls(mode, Mesh(np.array(jax.devices()), (AXIS,), axis_types=(AxisType.Auto,)))

    @property
    def count(self) -> int:
        return self.mesh.size

    @property
    def replicas(self) -> int:
        """How many copies of the BatchNorm statistics there are."""
        return self.count if self.mode == "pmap" else 1

    @property
    def everywhere(self) -> NamedSharding:
        return NamedSharding(self.mesh, P())

    @property
    def split(self) -> NamedSharding:
        """The leading axis divided over the devices."""
        return NamedSharding(self.mesh, P(AXIS))

    def replicate(self, tree: Any) -> Any:
        """The same value on every device."""
        return jax.device_put(tree, self.everywhere)

    def check_batch(self, batch_size: int, microbatches: int) -> None:
        if batch_size < 1 or batch_size % (self.count * microbatches):
            raise UserError(
                f"batch_size={batch_size} does not divide over {self.count} devices"
                + (f" x accumulate={microbatches} parts" if microbatches > 1 else "")
                + f"; the nearest that does: {self.round_up(batch_size, microbatches)}"
            )

    def round_up(self, batch_size: int, microbatches: int = 1) -> int:
        """The next multiple of what every device and part of the batch needs."""
        unit = self.count * microbatches
        return max(1, -(-batch_size // unit)) * unit
