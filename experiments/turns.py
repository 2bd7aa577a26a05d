"""Sides that take turns on one case, each in a process of its own: all warm, one at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.errors import UserError
from experiments.speed_cases import Case
from experiments.worker import NOTHING, Worker, WorkerError

FACTS = ("parameters", "multiply_adds", "activation_bytes")  # of the net: the same for all sides
OURS = "experiments.speed_worker"


@dataclasses.dataclass(frozen=True)
class Side:
    """One of those that take turns: how its worker is started and told what to prepare."""

    start: tuple[str, ...]  # module and its words
    arguments: dict[str, Any]
    python: str = sys.executable
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    may_fail: bool = False  # in preparing: it is then recorded and left out

    def worker(self) -> Worker:
        return Worker(*self.start, python=self.python, environment=self.environment)

    def at(self, task: str) -> Side:
        """The same at "train", "infer", "operate" or, of this project only, "loop"."""
        return dataclasses.replace(self, arguments=self.arguments | {"task": task})


def our_side(task: str, environment: Mapping[str, str] = NOTHING, **arguments: Any) -> Side:
    """This project's."""
    memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # leaves room on a GPU for the others
    return Side((OURS,), arguments, environment=memory | environment).at(task)


@dataclasses.dataclass(frozen=True)
class Pace:
    """So many rounds, each of so many seconds, or of one step where that takes longer."""

    rounds: int
    seconds: float


def silent(_: str) -> None:
    pass


def measure(
    case: Case, sides: dict[str, Side], pace: Pace, say: Callable[[str], None] = silent
) -> dict[str, Any]:
    """A row of `speed_table`, not yet judged; `say` hears how far it is.

    Raises `RuntimeError` where the sides' nets are not the same.
    """
    found: dict[str, dict[str, Any]] = {}
    workers: dict[str, Worker] = {}
    with contextlib.ExitStack() as stack:
        for name, side in sides.items():
            say(f"{name} prepares")
            worker = stack.enter_context(side.worker())
            given = {"case": dataclasses.asdict(case), **side.arguments}
            try:
                found[name] = worker.call("prepare", **given)
            except WorkerError as error:
                if not side.may_fail:
                    raise
                found[name] = {"failed": str(error)}
                worker.close()
                continue
            found[name] |= {
                "environment": side.environment,
                "start_seconds": worker.start_seconds,
                "steps": steps_of(worker, pace.seconds),
                "rounds": [],
            }
            workers[name] = worker
        for turn in range(pace.rounds):
            say(f"round {turn + 1} of {pace.rounds}")
            for name, worker in workers.items():
                found[name]["rounds"].append(worker.call("round", steps=found[name]["steps"]))
        for name, worker in workers.items():
            found[name]["peak_bytes"] = worker.call("memory")
    if len(sides) > 1 and len(workers) < 2:
        reasons = "; ".join(side["failed"] for side in found.values() if "failed" in side)
        raise UserError(f"{case.name}: nothing to compare with: {reasons}")
    net = same_facts(case, {name: found[name] for name in workers})
    task = next(iter(sides.values())).arguments["task"]
    return {"case": dataclasses.asdict(case), "task": task, **net, "sides": found}


def same_facts(case: Case, sides: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Takes what the sides say of the net out of them."""
    net = {}
    for key in FACTS:
        values = {name: side.pop(key) for name, side in sides.items() if key in side}
        if len(set(values.values())) > 1:
            raise RuntimeError(f"{case.name}: not the same net: {key} are {values}")
        net[key] = next(iter(values.values()), 0)
    return net


def steps_of(worker: Worker, seconds: float) -> int:
    """How many steps take so long; makes about as many, unmeasured."""
    once, _ = worker.call("round", steps=1)
    steps = max(1, round(seconds / once))
    together, _ = worker.call("round", steps=steps)
    return max(1, round(steps * seconds / together))
