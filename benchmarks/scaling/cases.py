"""What is measured: nets on so many processes of so many devices, plain data."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """`batch` images over `processes` that hold `devices` each."""

    net: str
    processes: int
    devices: int
    batch: int
    role: (
        str  # "fitted": the model is fitted on it; "held out"; "alone": on one device, not modelled
    )

    @property
    def total_devices(self) -> int:
        return self.processes * self.devices

    @property
    def label(self) -> str:
        return f"{self.net}, {self.processes} x {self.devices}, batch {self.batch}"


# Net -> images a device in weak scaling; strong scaling divides four times as many.
NETS = {"lenet5": 64, "resnet20_cifar": 16}
ARRANGEMENTS = ((1, 1), (1, 2), (2, 1), (1, 4), (2, 2), (4, 1))
MOST = max(processes * devices for processes, devices in ARRANGEMENTS)


def cases_of(net: str, each: int) -> list[Case]:
    """Weak scaling, `each` images a device, and strong scaling, as many as four devices have.

    Fitted are two devices of one process, and two processes at the larger batch. One device has a
    program of its own, with the C++ convolutions, which no program over several has.
    """
    found = []
    for processes, devices in ARRANGEMENTS:
        for batch in sorted({each * processes * devices, each * MOST}):
            role = "held out"
            if processes * devices == 1:
                role = "alone"
            elif processes * devices == 2 and (processes == 1 or batch == each * MOST):
                role = "fitted"
            found.append(Case(net, processes, devices, batch, role))
    return found


def as_case(row: dict[str, Any]) -> Case:
    """Of a row of the results."""
    return Case(**row["case"])
