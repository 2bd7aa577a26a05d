"""The work of a step on several devices that share the cores of one machine, in CPU seconds.

Devices of one host share its cores, so that compute does not divide by devices: each image costs
what it costs, and each device something on top. On cores that are free for it a step takes at
least its work over their number. On N devices of P processes it is

    image * images + device * N + (byte * S + call * C) * 2 (N - 1) * P / N

with `image` and `device` of the net, S bytes and C all-reduces of the step, and `byte` and `call`
of the machine: an all-reduce by a ring has 2 (N - 1) rounds, and of its N links P lead into another
process; the others cost next to nothing. None for P = 1. The four are fitted by least squares of
relative errors, none below 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls

from benchmarks.scaling.cases import Case


@dataclasses.dataclass(frozen=True)
class Measured:
    case: Case
    seconds: float  # of the CPU a step, of all processes
    reduced: int  # bytes that a step's all-reduces make on a device
    collectives: int


@dataclasses.dataclass(frozen=True)
class HostModel:
    """Seconds by net of an image and a device; of a byte and of a call between processes."""

    image: dict[str, float]
    device: dict[str, float]
    byte: float
    call: float

    def seconds(self, of: Measured) -> float:
        net = of.case.net
        own = [self.image[net], self.device[net], self.byte, self.call]
        return float(np.dot(own, terms(of)))


def terms(of: Measured) -> list[float]:
    """What the four seconds are multiplied by."""
    devices, processes = of.case.total_devices, of.case.processes
    rounds = 2 * (devices - 1) * processes / devices if processes > 1 else 0.0
    return [of.case.batch, devices, of.reduced * rounds, of.collectives * rounds]


def fit(rows: Sequence[Measured]) -> HostModel:
    nets = sorted({of.case.net for of in rows})
    matrix = np.zeros((len(rows), 2 * len(nets) + 2))
    for row, of in zip(matrix, rows, strict=True):
        place = 2 * nets.index(of.case.net)
        row[[place, place + 1, -2, -1]] = terms(of)
        row /= of.seconds
    scale = np.maximum(matrix.max(0), 1e-30)  # columns of like size, for the solver's sake
    found = nnls(matrix / scale, np.ones(len(rows)))[0] / scale
    image, device = (dict(zip(nets, map(float, found[i:-2:2]), strict=True)) for i in (0, 1))
    return HostModel(image, device, float(found[-2]), float(found[-1]))
