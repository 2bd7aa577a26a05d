"""Claim: on a processor this project trains and infers as fast as PyTorch in its best mode, nets
with LRN faster, depthwise and grouped ones nearly so; no operation takes twice as long; its loop
costs 3 % of the step at most.

    python -m experiments.speed [--model=NAMES] [--against=torch] [--inference] [--loop] [--growth]
    python -m experiments.speed --operations [--against=torch]
    python -m experiments.speed --against=xla [--model=NAMES]

It measures training where no other is asked for. The goals are those of `speed_cases.py`. The
sides take turns, round by round, each in a process of its own, so that they are warm and never run
at the same time: float32, Adam, one batch that stays in memory, losses of auxiliary heads included;
both sides' parameters and multiply-adds must be the same numbers. A goal must be held by the wall
and by CPU second (on an accelerator by the wall), against the best of PyTorch's modes by that
clock. Against "xla" it is this project without what the machine's own compiler made for it (the
section "native", without goals). --cores=1 pins all sides to one core: on a machine shared with
others, the one to trust.

Speeds are medians of rounds, ratios medians (quartiles) of the rounds' ratios. "start" is from the
start of the process to the end of its imports, "compile" the first step without the time of a
second (PyTorch's with its cache as it is), "memory" the peak of the process, "limit" the share of
the speed of a matrix product and a copy measured here: see `speed_table.bound`.

Writes results.json, table.md and speed.png to --out, where a row takes the place of the same one of
the same device; --growth (`speed_growth.py`) writes growth.json and growth.png. Ends with status 1
where a goal is missed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from cnn_jax import cli
from cnn_jax.analysis import tables
from cnn_jax.errors import UserError, unknown
from experiments import speed_cases, speed_growth, speed_plot, speed_table
from experiments.speed_cases import Case
from experiments.torch_sides import CPU_MODES, GPU_MODES, MODES, torch_modes, torch_side
from experiments.turns import Pace, Side, measure, our_side
from experiments.worker import cores

RESULTS = "results.json"
LOOP_CASES = ("lenet5", "resnet50")
LOOP_BATCHES = 64  # an epoch
LOOP_SECONDS = 3.0  # of a turn, at least


def main(argv: Sequence[str]) -> int:
    del argv
    if CORES.value:
        if not hasattr(os, "sched_setaffinity"):
            raise UserError(f"--cores={CORES.value}: this system pins no process; leave it out")
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CORES.value])
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    kept = read(out / RESULTS)  # what is wrong with it is said before minutes of measuring
    if GROWTH.value:
        speed_growth.grow(out)
    if GROWTH.value and not (INFERENCE.value or LOOP.value or OPERATIONS.value):
        return 0
    sections: Sections = {}
    for name, row in compare():
        sections.setdefault(name, []).append(row)
        write(kept, sections, out)  # after each row: a run that is stopped keeps those
    for name, rows in sections.items():
        print(f"\n{name}: {'; '.join(speed_table.measured_on(rows))}")
        tables.show(speed_table.COLUMNS, [speed_table.cells(row) for row in rows])
    held = [row["held"] for rows in sections.values() for row in rows]
    missed = held.count(False)
    if missed + held.count(True):
        print(f"\nthe claim {'fails' if missed else 'holds'}: {missed} goals missed")
    return 1 if missed else 0


def compare() -> Iterator[tuple[str, dict[str, Any]]]:
    """The judged rows that the flags ask for, each with its section of the results."""
    with our_side("train").worker() as gauge:
        machine = gauge.call("machine") | {"cores_used": cores()}
        on_cpu = machine["backend"] == "cpu"
        clocks = ("wall", "cpu") if on_cpu else ("wall",)  # only a processor's threads have one
        cases = speed_cases.ON_CPU if on_cpu else speed_cases.ON_GPU
        plans = make_plans(cases, theirs(on_cpu) if AGAINST.value == "torch" else {})
        limits: dict[str, dict[str, float]] = {}  # by type, the best of all tries
        todo = [(name, case, sides) for name, plan in plans.items() for case, sides in plan]
        with tqdm(todo, unit="net", disable=None) as bar:
            for name, case, sides in bar:
                bar.set_description(f"{name}: {case.label}")
                row = measure(case, sides, pace(name), bar.set_postfix_str)
                now, best = gauge.call("limits", dtype=case.dtype), limits.get(case.dtype, {})
                limits[case.dtype] = {key: max(now[key], best.get(key, 0.0)) for key in now}
                row |= goals_of(name, case) | {"machine": machine, "limits": limits[case.dtype]}
                yield name, speed_table.judge(row, clocks)


Plan = list[tuple[Case, dict[str, Side]]]


def theirs(on_cpu: bool) -> dict[str, Side]:
    names = TORCH_MODES.value or (CPU_MODES if on_cpu else GPU_MODES)
    side = torch_side(TORCH_PYTHON.value, TORCH_SETUP.value)
    return torch_modes(side, names, pace() if on_cpu else None)


def make_plans(cases: Sequence[Case], others: dict[str, Side]) -> dict[str, Plan]:
    """Section of the results -> what takes turns in each of its rows."""
    nets = [] if OPERATIONS.value and not (INFERENCE.value or LOOP.value) else choose(cases)
    plans: dict[str, Plan] = {}
    if LOOP.value:
        wanted = MODEL.value or LOOP_CASES
        plans["loop"] = [(case, loop_sides(case)) for case in nets if case.name in wanted]
    if INFERENCE.value:
        plans["inference"] = [(case, both("infer", others)) for case in inference_cases(nets)]
    if OPERATIONS.value:
        chosen = choose(speed_cases.OPERATIONS)
        plans["operations"] = [(case, both("operate", others)) for case in chosen]
    if AGAINST.value == "xla":
        alone = our_side("train", environment={"CNN_JAX_NATIVE": "0"})
        plans["native"] = [(case, both("train", {"XLA alone": alone})) for case in nets]
    return plans or {"training": [(case, both("train", others)) for case in nets]}


def pace(section: str = "") -> Pace:
    """Of the loop long enough for a log row to be as rare as in training."""
    seconds = max(SECONDS.value, LOOP_SECONDS) if section == "loop" else SECONDS.value
    return Pace(ROUNDS.value, seconds)


def choose(cases: Sequence[Case]) -> list[Case]:
    """Those that --model names, or all that have a goal."""
    if not MODEL.value:
        return [case for case in cases if case.goal]
    names = [case.name for case in cases]
    for name in MODEL.value:
        if name not in names:
            raise unknown("--model", name, names)
    return [case for case in cases if case.name in MODEL.value]


def inference_cases(cases: Sequence[Case]) -> list[Case]:
    batches = speed_cases.INFERENCE_BATCHES
    return [dataclasses.replace(case, batch=batch) for case in cases for batch in batches]


def goals_of(name: str, case: Case) -> dict[str, float]:
    """Those of a section: a case's own are of training."""
    if name in ("training", "operations"):
        return {"goal": case.goal, "rate": case.rate}
    goals = {"inference": speed_cases.INFERENCE_GOAL, "loop": speed_cases.LOOP_GOAL}
    return {"goal": goals.get(name, 0.0), "rate": 0.0}


def loop_sides(case: Case) -> dict[str, Side]:
    """The loop goes through a set that lies in memory."""
    examples = LOOP_BATCHES * case.batch
    return {"loop": our_side("loop", examples=examples), "bare step": our_side("train")}


def both(task: str, others: dict[str, Side]) -> dict[str, Side]:
    return {"cnn_jax": our_side(task)} | {n: side.at(task) for n, side in others.items()}


Sections = dict[str, list[dict[str, Any]]]  # name -> judged rows


def read(path: Path) -> Sections:
    """What lay there before; raises `UserError` where it is no such file."""
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text())
        speed_table.merge([row for rows in kept.values() for row in rows], [])
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise UserError(
            f"--out={path.parent}: {path.name} holds no rows of this program: move it away, or "
            "name another folder"
        ) from error
    return kept


def write(kept: Sections, sections: Sections, out: Path) -> None:
    """Table and picture are of these rows and of all that are kept."""
    kept = kept | {n: speed_table.merge(kept.get(n, []), rows) for n, rows in sections.items()}
    (out / RESULTS).write_text(json.dumps(kept, indent=1) + "\n")
    text = ""
    for name, rows in kept.items():
        table = speed_table.markdown([speed_table.cells(row) for row in rows])
        on = "\n".join(f"- {line}" for line in speed_table.measured_on(rows))
        text += f"## {name}\n\n{on}\n\n{table}\n"
    (out / "table.md").write_text(text)
    speed_plot.draw_ratios(kept, out / "speed.png")


if __name__ == "__main__":  # flags only here, so that experiments can be imported
    MODEL = flags.DEFINE_list(
        "model", [], "Nets (or operations) of speed_cases.py; none: all with a goal."
    )
    AGAINST = flags.DEFINE_enum("against", "", ["", "torch", "xla"], "What else takes turns.")
    INFERENCE = flags.DEFINE_bool("inference", False, "Logits, of batches of 1 and 32.")
    LOOP = flags.DEFINE_bool("loop", False, "The training loop against the bare step.")
    OPERATIONS = flags.DEFINE_bool("operations", False, "Each operation's value and gradients.")
    GROWTH = flags.DEFINE_bool("growth", False, "Time, memory and compilation against what grows.")
    ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns of each side.", lower_bound=2)
    SECONDS = flags.DEFINE_float("seconds", 0.7, "Of a turn, about; a step at least.", 0.0)
    CORES = flags.DEFINE_integer("cores", 0, "How many to use; 0: all.", lower_bound=0)
    TORCH_MODES = flags.DEFINE_list("torch_modes", [], f"Of {', '.join(MODES)}.")
    TORCH_PYTHON = flags.DEFINE_string("torch_python", "", "An interpreter that has PyTorch.")
    TORCH_SETUP = flags.DEFINE_string("torch_setup", "", "A program that it must run first.")
    OUT = flags.DEFINE_string("out", "experiments/results/speed", "Where the results go.")
    cli.run(main)
