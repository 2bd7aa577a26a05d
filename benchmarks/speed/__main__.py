"""Claim: on a processor this project trains and infers as fast as PyTorch in its best mode, nets
with LRN faster; no operation takes twice as long; its loop costs 3 % of the step at most.

    python -m benchmarks.speed [--model=NAMES] [--against=torch] [--inference] [--loop] [--growth]
    python -m benchmarks.speed --against=torch --model=zoo [--inference] [--resume]
    python -m benchmarks.speed --operations [--against=torch]
    python -m benchmarks.speed --against=xla [--model=NAMES] [--resume]
    python -m benchmarks.speed --without=max_pool,depthwise [--inference] [--model=NAMES] [--resume]

It measures training where no other is asked for. The goals are those of `cases.py`; --model=zoo is
every net that PyTorch, torchvision or timm has with the same counts. The contenders take turns,
round by round, each in a process of its own, so that they are warm and never run at the same time:
float32, Adam, one batch that stays in memory, losses of auxiliary heads included; all contenders'
parameters and multiply-adds must be the same numbers. A goal must be met by the lower quartile of
the ratios, by wall time and by CPU second (on an accelerator by wall time), against the best of
PyTorch's modes by that clock. Against "xla" it is this project without what the machine's own
compiler made for it (the section "xla", without goals); --without leaves out one of those kernels
at a time (the section "kernels", or "kernels, inference"), so that a kernel that is worth nothing
is found. --cores=1 pins all contenders to one core: on a machine shared with others, the one to
trust. --together starts and compiles the contenders of all rows side by side before the first
round, where a machine's minutes are dear and its memory holds them: times of compilation are then
those of a busy machine.

Speeds are medians of rounds, ratios medians (quartiles) of the rounds' ratios. "start" is from the
start of the process to the end of its imports, "compile" the first step without the time of a
second (PyTorch's with its cache as it is), "memory" the peak of the process, "limit" the share of
the speed of a matrix product and a copy measured here: see `table.bound`.

Writes results.json, table.md and speed.png to --out after each row, where a row takes the place of
the same one of the same device; with --resume rows that lie there from the same commit are not
measured again. --growth (`growth.py`) writes growth.json and growth.png. Ends with status 1 where a
goal is missed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.harness.interleave import Contender, Rounds, prepare_together
from benchmarks.harness.worker import cores
from benchmarks.speed import cases, growth, results, table, torch_contenders
from benchmarks.speed.cases import Case
from benchmarks.speed.contenders import jax_contender, row_of, turns_of
from cnn_jax import cli
from cnn_jax.analysis import tables
from cnn_jax.errors import UserError, unknown
from cnn_jax.ops.cpu_kernels.compile import KERNELS
from cnn_jax.runtime.progress import ProgressBar

ZOO = "zoo"
LOOP_CASES = ("lenet5", "resnet50")
LOOP_BATCHES = 64  # an epoch
LOOP_SECONDS = 3.0  # of a turn, at least

Plan = list[tuple[Case, dict[str, Contender]]]


def main(argv: Sequence[str]) -> int:
    del argv
    if CORES.value:
        if not hasattr(os, "sched_setaffinity"):
            raise UserError(f"--cores={CORES.value}: this system pins no process; leave it out")
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CORES.value])
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    saved = results.read(out / results.FILE)  # what is wrong with it is said before minutes of work
    if GROWTH.value:
        growth.grow(out)
    if GROWTH.value and not (INFERENCE.value or LOOP.value or OPERATIONS.value):
        return 0
    sections: results.Sections = {}
    for name, row in compare(saved if RESUME.value else {}):
        sections.setdefault(name, []).append(row)
        results.write(saved, sections, out)  # after each row: a run that is stopped keeps them
    for name, rows in sections.items():
        print(f"\n{name}: {'; '.join(table.measured_on(rows))}")
        tables.print_table(table.COLUMNS, [table.cells(row) for row in rows])
    met = [row["goals_met"] for rows in sections.values() for row in rows]
    missed = met.count(False)
    if missed + met.count(True):
        print(f"\nthe claim {'fails' if missed else 'holds'}: {missed} goals missed")
    return 1 if missed else 0


def compare(saved: results.Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    """The judged rows that the flags ask for, each with its section of the results.

    Those that were `saved` from this commit are given as they are.
    """
    with jax_contender("train").worker() as gauge:
        machine = gauge.call("machine") | {"cores_used": cores()}
        on_cpu = machine["backend"] == "cpu"
        clocks = ("wall", "cpu") if on_cpu else ("wall",)  # only a processor's threads have one
        nets = (*cases.ON_CPU, *cases.IN_LIBRARIES) if on_cpu else cases.ON_GPU
        plans = make_plans(nets, torch_modes(on_cpu) if AGAINST.value == "torch" else {})
        limits: dict[str, dict[str, float]] = {}  # by type, the best of all tries
        todo = [(section, *entry) for section, plan in plans.items() for entry in plan]
        rows = [{"case": dataclasses.asdict(case), "machine": machine} for _, case, _ in todo]
        kept = [
            results.same_row(r, saved.get(s, [])) for r, (s, *_) in zip(rows, todo, strict=True)
        ]
        with ProgressBar("nets", len(todo)) as bar, contextlib.ExitStack() as ended:
            turns = [turns_of(case, them, bar.describe) for _, case, them in todo]
            if TOGETHER.value:
                open_turns = [t for t, done in zip(turns, kept, strict=True) if not done]
                prepare_together([ended.enter_context(t) for t in open_turns])
            for number, (section, case, _) in enumerate(todo):
                bar.reach(number, f"{section}: {case.label}")
                if done := kept[number]:
                    yield section, done
                    continue
                with turns[number] as own:
                    prepared = own if TOGETHER.value else own.prepare()
                    row = rows[number] | row_of(case, prepared, rounds_of(section))
                now, best = gauge.call("limits", dtype=case.dtype), limits.get(case.dtype, {})
                limits[case.dtype] = {key: max(now[key], best.get(key, 0.0)) for key in now}
                row |= goals_of(section, case) | {"limits": limits[case.dtype]}
                yield section, table.judge(row, clocks)


def torch_modes(on_cpu: bool) -> dict[str, Contender]:
    modes = torch_contenders.CPU_MODES if on_cpu else torch_contenders.GPU_MODES
    contender = torch_contenders.torch_contender(TORCH_PYTHON.value, TORCH_SETUP.value)
    rounds = rounds_of() if on_cpu else None
    return torch_contenders.torch_modes(contender, TORCH_MODES.value or modes, rounds)


def make_plans(nets: Sequence[Case], others: dict[str, Contender]) -> dict[str, Plan]:
    """Section of the results -> what takes turns in each of its rows."""
    chosen = [] if OPERATIONS.value and not (INFERENCE.value or LOOP.value) else choose(nets)
    plans: dict[str, Plan] = {}
    if LOOP.value:
        names = MODEL.value or LOOP_CASES
        plans["loop"] = [(case, loop_contenders(case)) for case in chosen if case.name in names]
    if INFERENCE.value:
        plans["inference"] = [(c, with_ours("infer", others)) for c in inference_cases(chosen)]
    if OPERATIONS.value:
        operations = choose(cases.OPERATIONS)
        plans["operations"] = [(case, with_ours("operate", others)) for case in operations]
    if AGAINST.value == "xla":
        others = {"XLA alone": jax_contender("train", {"CNN_JAX_NATIVE": "0"})}
        plans["xla"] = [(case, with_ours("train", others)) for case in chosen]
    if WITHOUT.value and INFERENCE.value:
        entries = [e for case in inference_cases(chosen) for e in without_kernels(case, "infer")]
        return {"kernels, inference": entries}
    if WITHOUT.value:
        plans["kernels"] = [e for case in chosen for e in without_kernels(case, "train")]
    return plans or {"training": [(case, with_ours("train", others)) for case in chosen]}


def rounds_of(section: str = "") -> Rounds:
    """Of the loop long enough for a log row to be as rare as in training."""
    seconds = max(SECONDS.value, LOOP_SECONDS) if section == "loop" else SECONDS.value
    return Rounds(ROUNDS.value, seconds)


def choose(among: Sequence[Case]) -> list[Case]:
    """Those that --model names; without, all that have a goal but the larger part of the zoo."""
    if ZOO in MODEL.value:
        return list(among)
    if not MODEL.value:
        return [case for case in among if case.goal and case not in cases.IN_LIBRARIES]
    names = [case.name for case in among]
    for name in MODEL.value:
        if name not in names:
            raise unknown("--model", name, [*names, ZOO])
    return [case for case in among if case.name in MODEL.value]


def inference_cases(nets: Sequence[Case]) -> list[Case]:
    batches = cases.INFERENCE_BATCHES
    return [dataclasses.replace(case, batch=batch) for case in nets for batch in batches]


def goals_of(section: str, case: Case) -> dict[str, float]:
    """Those of a section: a case's own are of training."""
    if section in ("training", "operations"):
        return {"goal": case.goal, "rate": case.rate}
    goals = {"inference": cases.INFERENCE_GOAL, "loop": cases.LOOP_GOAL}
    return {"goal": goals.get(section, 0.0), "rate": 0.0}


def loop_contenders(case: Case) -> dict[str, Contender]:
    """The loop goes through a set that lies in memory."""
    examples = LOOP_BATCHES * case.batch
    return {"loop": jax_contender("loop", examples=examples), "bare step": jax_contender("train")}


def without_kernels(case: Case, task: str) -> Plan:
    """All kernels against all but one of those that --without names."""
    entries = []
    for kernel in WITHOUT.value:
        if kernel not in KERNELS:
            raise unknown("--without", kernel, KERNELS)
        rest = ",".join(name for name in KERNELS if name != kernel)
        others = {f"without {kernel}": jax_contender(task, {"CNN_JAX_NATIVE": rest})}
        named = dataclasses.replace(case, name=f"{case.name} without {kernel}")
        entries.append((named, with_ours(task, others)))
    return entries


def with_ours(task: str, others: dict[str, Contender]) -> dict[str, Contender]:
    at_task = {name: contender.at(task) for name, contender in others.items()}
    return {"cnn_jax": jax_contender(task)} | at_task


if __name__ == "__main__":  # flags only here, so that benchmarks can be imported
    MODEL = flags.DEFINE_list(
        "model", [], f"Nets (or operations) of cases.py, or {ZOO!r}; none: the first twelve."
    )
    AGAINST = flags.DEFINE_enum("against", "", ["", "torch", "xla"], "What else takes turns.")
    WITHOUT = flags.DEFINE_list("without", [], f"One at a time, of {', '.join(KERNELS)}.")
    INFERENCE = flags.DEFINE_bool("inference", False, "Logits, of batches of 1 and 32.")
    LOOP = flags.DEFINE_bool("loop", False, "The training loop against the bare step.")
    OPERATIONS = flags.DEFINE_bool("operations", False, "Each operation's value and gradients.")
    GROWTH = flags.DEFINE_bool("growth", False, "Time, memory and compilation against what grows.")
    TOGETHER = flags.DEFINE_bool("together", False, "Compile all rows side by side, then measure.")
    RESUME = flags.DEFINE_bool("resume", False, "Keep rows that this commit has measured here.")
    ROUNDS = flags.DEFINE_integer("rounds", 7, "Turns of each contender.", lower_bound=2)
    SECONDS = flags.DEFINE_float("seconds", 0.7, "Of a turn, about; a step at least.", 0.0)
    CORES = flags.DEFINE_integer("cores", 0, "How many to use; 0: all.", lower_bound=0)
    TORCH_MODES = flags.DEFINE_list("torch_modes", [], f"Of {', '.join(torch_contenders.MODES)}.")
    TORCH_PYTHON = flags.DEFINE_string("torch_python", "", "An interpreter that has PyTorch.")
    TORCH_SETUP = flags.DEFINE_string("torch_setup", "", "A program that it must run first.")
    OUT = flags.DEFINE_string("out", "benchmarks/results/speed", "Where the results go.")
    cli.run(main)
