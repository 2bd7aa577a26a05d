"""Contenders that take turns on one case, each in a process of its own: all warm, one at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.harness.worker import Worker, WorkerError


@dataclasses.dataclass(frozen=True)
class Contender:
    """One of those that take turns: how its worker is started and told what to prepare.

    The worker answers the calls "prepare" (with the case and `arguments`), "round" and "memory".
    """

    start: tuple[str, ...]  # module and its words
    arguments: dict[str, Any]
    python: str = sys.executable
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    may_fail: bool = False  # in preparing: it is then recorded and left out

    def worker(self) -> Worker:
        return Worker(*self.start, python=self.python, environment=self.environment)

    def at(self, task: str) -> Contender:
        """The same at another task."""
        return dataclasses.replace(self, arguments=self.arguments | {"task": task})


@dataclasses.dataclass(frozen=True)
class Rounds:
    """So many rounds, each of so many seconds, or of one step where that takes longer."""

    count: int
    seconds: float


def silent(_: str) -> None:
    pass


def interleave(
    case: Mapping[str, Any],
    contenders: Mapping[str, Contender],
    rounds: Rounds,
    report: Callable[[str], None] = silent,
) -> dict[str, dict[str, Any]]:
    """Name -> what the contender said when it prepared `case`, with its rounds and its memory.

    Of one that failed there is the reason alone, {"failed": "..."}. `report` is told the progress.
    """
    results: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:
        for name, contender in contenders.items():
            report(f"{name} prepares")
            worker = stack.enter_context(contender.worker())
            try:
                results[name] = worker.call("prepare", case=case, **contender.arguments)
            except WorkerError as error:
                if not contender.may_fail:
                    raise
                results[name] = {"failed": str(error)}
                worker.close()
                continue
            results[name] |= {
                "environment": contender.environment,
                "start_seconds": worker.start_seconds,
                "steps": steps_per_round(worker, rounds.seconds),
                "rounds": [],
            }
            workers[name] = worker
        for turn in range(rounds.count):
            report(f"round {turn + 1} of {rounds.count}")
            for name, worker in workers.items():
                times = worker.call("round", steps=results[name]["steps"])
                results[name]["rounds"].append(times)
        for name, worker in workers.items():
            results[name]["peak_bytes"] = worker.call("memory")
    return results


def steps_per_round(worker: Worker, seconds: float) -> int:
    """How many steps take so long; makes about as many, unmeasured."""
    once, _ = worker.call("round", steps=1)
    steps = max(1, round(seconds / once))
    together, _ = worker.call("round", steps=steps)
    return max(1, round(steps * seconds / together))
