"""Processes that train together on one machine, each a worker; all groups take turns."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import statistics
from concurrent import futures
from typing import Any

from benchmarks.harness.worker import Worker
from benchmarks.scaling.cases import Case

STEPS = 4  # a round


class Group:
    """`processes` workers of `devices` devices each, joined by loopback; a context."""

    def __init__(self, processes: int, devices: int):
        self.processes = processes
        flags = f"--xla_force_host_platform_device_count={devices}"
        environment = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        self.stack = contextlib.ExitStack()
        self.pool = self.stack.enter_context(futures.ThreadPoolExecutor(processes))
        self.workers = [
            self.stack.enter_context(Worker("benchmarks.scaling.worker", environment=environment))
            for _ in range(processes)
        ]
        address = f"127.0.0.1:{free_port()}"
        joins = [
            self.pool.submit(w.call, "join", address=address, processes=processes, index=i)
            for i, w in enumerate(self.workers)
        ]
        assert {join.result() for join in joins} == {processes * devices}

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def call(self, call: str, **arguments: Any) -> list[Any]:
        """The answers of all, which work at the same time."""
        calls = [self.pool.submit(worker.call, call, **arguments) for worker in self.workers]
        return [answer.result() for answer in calls]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def measure(cases: list[Case], groups: dict[tuple[int, int], Group], rounds: int) -> list[dict]:
    """A row a case: its rounds as [seconds, CPU seconds of all processes] a step, their median,
    collectives by kind, and the machine's load in each round.
    """
    rows = []
    for case in cases:
        group = groups[case.processes, case.devices]
        parts = group.call("prepare", net=case.net, batch=case.batch)[0]
        row = {"case": dataclasses.asdict(case), "collectives": parts, "rounds": [], "load": []}
        rows.append(row)
    for _ in range(rounds):
        for case, row in zip(cases, rows, strict=True):
            group = groups[case.processes, case.devices]
            row["load"].append(os.getloadavg()[0])
            times = group.call("round", net=case.net, batch=case.batch, steps=STEPS)
            wall, cpu = max(t for t, _ in times) / STEPS, sum(c for _, c in times) / STEPS
            row["rounds"].append([wall, cpu])
    for row in rows:
        row["seconds"] = statistics.median(wall for wall, _ in row["rounds"])
        row["cpu_seconds"] = statistics.median(cpu for _, cpu in row["rounds"])
    return rows
