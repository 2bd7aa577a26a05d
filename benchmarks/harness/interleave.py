"""Contenders that take turns on one case, each in a process of its own: all warm, one at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
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


class Turns:
    """Contenders on one case: prepared, then playing rounds in turns; a context that ends them."""

    def __init__(
        self,
        case: Mapping[str, Any],
        contenders: Mapping[str, Contender],
        report: Callable[[str], None] = silent,
    ):
        self.case, self.contenders, self.report = case, contenders, report
        self.results: dict[str, dict[str, Any]] = {}
        self.workers: dict[str, Worker] = {}
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def prepare(self, together: bool = False) -> Turns:
        """Starts the contenders, one after another or `together`."""
        workers = 1 if not together else len(self.contenders) or 1
        with futures.ThreadPoolExecutor(workers) as pool:
            started = {name: pool.submit(self.start, name) for name in self.contenders}
            for name, future in started.items():
                worker, self.results[name] = future.result()
                if worker is not None:
                    self.workers[name] = worker
        return self

    def start(self, name: str) -> tuple[Worker | None, dict[str, Any]]:
        """(the worker that is prepared, what it said); none, and why, of one that may fail."""
        contender = self.contenders[name]
        self.report(f"{name} prepares")
        worker = self.stack.enter_context(contender.worker())
        try:
            prepared = worker.call("prepare", case=self.case, **contender.arguments)
        except WorkerError as error:
            if not contender.may_fail:
                raise
            worker.close()
            return None, {"failed": str(error)}
        started = {
            "environment": contender.environment,
            "start_seconds": worker.start_seconds,
        }
        return worker, prepared | started

    def play(self, rounds: Rounds) -> dict[str, dict[str, Any]]:
        """Name -> what the contender said when it prepared, with its rounds and its memory.

        Of one that failed there is the reason alone, {"failed": "..."}.
        """
        for name, worker in self.workers.items():
            steps = steps_per_round(worker, rounds.seconds)
            self.results[name] |= {"steps": steps, "rounds": []}
        for turn in range(rounds.count):
            self.report(f"round {turn + 1} of {rounds.count}")
            for name, worker in self.workers.items():
                times = worker.call("round", steps=self.results[name]["steps"])
                self.results[name]["rounds"].append(times)
        for name, worker in self.workers.items():
            self.results[name]["peak_bytes"] = worker.call("memory")
        return self.results


def prepare_together(turns: Sequence[Turns]) -> None:
    """Prepares all contenders of several cases side by side."""
    with futures.ThreadPoolExecutor(len(turns) or 1) as pool:
        list(pool.map(lambda case: case.prepare(together=True), turns))


def steps_per_round(worker: Worker, seconds: float) -> int:
    """How many steps take so long; makes about as many, unmeasured."""
    once, _ = worker.call("round", steps=1)
    steps = max(1, round(seconds / once))
    together, _ = worker.call("round", steps=steps)
    return max(1, round(steps * seconds / together))
