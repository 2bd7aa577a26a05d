"""The time of a step on so many chips, from the program compiled for few.

Each chip has the same images, so that its own work does not change; what changes is the network:
an all-reduce of S bytes over n chips sends 2 (n - 1) / n S from each, and on a torus of X x Y chips
its first byte has passed about X + Y links when it is done (there and back, half of each ring).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

HOP_SECONDS = (0.0, 1e-6)  # of a link, which nobody publishes: none, and a cautious one
HOST_CORES = 28  # a chip's share of the 112 or 224 of its host (docs.cloud.google.com/tpu/docs/v5e)


@dataclasses.dataclass(frozen=True)
class ChipModel:
    """Of a plan's program (`cnn_jax plan --json`): seconds of a chip's own work, and what it sends.

    `decoded` is images a second and core, of the host that feeds the chip.
    """

    images: int  # a chip
    own: float
    reduced: int  # bytes
    collectives: int
    network_speed: float  # bytes a second
    decoded: float

    @classmethod
    def of(cls, plan: dict[str, Any], decoded: float) -> ChipModel:
        costs, chip = plan["costs"], plan["chip"]
        parts = [part for part in costs["collectives"] if part["kind"] == "all-reduce"]
        return cls(
            images=plan["batch_size"] // plan["chips"],
            own=max(costs["flops"] / chip["flops"], costs["moved"] / chip["memory_speed"]),
            reduced=sum(part["size"] for part in parts),
            collectives=sum(part["count"] for part in parts),
            network_speed=chip["network_speed"],
            decoded=decoded,
        )

    def network(self, chips: int, hop: float = 0.0) -> float:
        """Seconds of the all-reduces, on the squarest torus of so many chips."""
        if chips == 1:
            return 0.0
        sent = 2 * (chips - 1) / chips * self.reduced / self.network_speed
        return sent + self.collectives * hop * sum(torus(chips))

    def seconds(self, chips: int, hop: float = 0.0) -> float:
        """Of a step whose network waits for the rest, or that waits for its images."""
        return max(self.own + self.network(chips, hop), self.input())

    def input(self) -> float:
        """Seconds in which a chip's share of its host decodes its images."""
        return self.images / (self.decoded * HOST_CORES)

    def efficiency(self, chips: int, hop: float = 0.0) -> float:
        return self.seconds(1) / self.seconds(chips, hop)


def torus(chips: int) -> tuple[int, int]:
    """The sides of the squarest one: 8 -> (2, 4)."""
    short = next(side for side in range(math.isqrt(chips), 0, -1) if chips % side == 0)
    return short, chips // short
