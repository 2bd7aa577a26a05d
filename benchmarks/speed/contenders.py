"""This project as a contender, and one row of the results: a case by all that take turns on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.harness.interleave import Contender, Rounds, Turns, silent
from benchmarks.harness.worker import NO_VARIABLES
from benchmarks.speed.cases import Case
from cnn_jax.errors import UserError

FACTS = ("parameters", "multiply_adds", "activation_bytes")  # of the net: the same for all
WORKER = "benchmarks.speed.jax_worker"


def jax_contender(
    task: str, environment: Mapping[str, str] = NO_VARIABLES, **arguments: Any
) -> Contender:
    """This project at "train", "infer", "operate" or "loop"."""
    memory = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # leaves room on a GPU for the others
    return Contender((WORKER,), arguments, environment={**memory, **environment}).at(task)


def measure(
    case: Case,
    contenders: dict[str, Contender],
    rounds: Rounds,
    report: Callable[[str], None] = silent,
) -> dict[str, Any]:
    """A row of `table`, not yet judged; `report` is told the progress.

    Raises `RuntimeError` where the contenders' nets are not the same.
    """
    with turns_of(case, contenders, report) as turns:
        return row_of(case, turns.prepare(), rounds)


def turns_of(
    case: Case, contenders: dict[str, Contender], report: Callable[[str], None] = silent
) -> Turns:
    return Turns(dataclasses.asdict(case), contenders, report)


def row_of(case: Case, turns: Turns, rounds: Rounds) -> dict[str, Any]:
    """The row of contenders that are prepared."""
    contenders, results = turns.contenders, turns.play(rounds)
    measured = {name: result for name, result in results.items() if "failed" not in result}
    if len(contenders) > 1 and len(measured) < 2:
        reasons = "; ".join(result["failed"] for result in results.values() if "failed" in result)
        raise UserError(f"{case.name}: nothing to compare with: {reasons}")
    net = take_facts(case, measured)
    task = next(iter(contenders.values())).arguments["task"]
    return {"case": dataclasses.asdict(case), "task": task, **net, "contenders": results}


def take_facts(case: Case, results: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Takes what the contenders say of the net out of their results."""
    net = {}
    for key in FACTS:
        values = {name: result.pop(key) for name, result in results.items() if key in result}
        if len(set(values.values())) > 1:
            raise RuntimeError(f"{case.name}: not the same net: {key} are {values}")
        net[key] = next(iter(values.values()), 0)
    return net
