"""How long a net takes from the start of Python to the end of its first training step.

    python -m benchmarks.first_step [--model=lenet5,googlenet] [--resume]

Each net has a process of its own, first with an empty cache of compiled programs, then with what
the first has kept. Wall seconds are those that a person waits; CPU seconds, of all threads, are
what two versions of the program are compared by on a machine that is shared. The C++ kernels are
there already, where there are any. Results are written after each net, as JSON and as a table;
`--resume` leaves out what the same commit has measured. Nets are those of `speed/cases.py`, or any
net at its own size with batches of 8, of images over 300 pixels 2; `--model=zoo` is all of those.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.first_step_worker import PARTS
from benchmarks.harness.machine import in_words, machine
from benchmarks.harness.worker import Stopwatch, Worker
from benchmarks.speed.cases import ON_CPU, Case
from benchmarks.speed.results import commit
from benchmarks.speed.table import devices_of, markdown
from cnn_jax import cli, models
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.compilation_cache import WORTH_A_FILE
from cnn_jax.runtime.progress import track
from cnn_jax.runtime.result_files import check_place, write_json, write_result

CASES = {case.name: case for case in ON_CPU}
ZOO = "zoo"
# Of a net that has no case: the batch, by the sizes of images up to which it is taken.
BATCHES = {300: 8, 600: 2}
# Nets whose blocks are one loop, as the guide advises: a thousand of them compile for minutes.
LOOPED = ("resnet1001_v2_cifar", "resnet1202_cifar")
# What the command lines set where no folder is given.
KEEP = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(WORTH_A_FILE)}
TEMPERATURES = ("cold", "warm")

Row = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    del argv
    for name in MODEL.value:
        if name != ZOO and name not in CASES and name not in models.REGISTRY:
            raise unknown("--model", name, [*CASES, ZOO, *models.REGISTRY])
    names = [n for name in MODEL.value for n in (models.REGISTRY if name == ZOO else [name])]
    check_place("--out", OUT.value, (".json",))
    on, path = machine(), Path(OUT.value)
    rows = read(path)
    for name in track(names, "nets"):
        row = {"case": dataclasses.asdict(case_of(name)), "machine": on}
        if RESUME.value and any(is_same(row, other, of_commit=True) for other in rows):
            continue
        row |= measure(case_of(name))
        rows = [other for other in rows if not is_same(row, other)] + [row]
        write_json(path, rows)
        write_result("the table", path.with_suffix(".md"), table(rows))
        print(" ".join(cells(row)), flush=True)
    return 0


def read(path: Path) -> list[Row]:
    """The rows of an earlier run; raises `UserError` where the file holds none."""
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text())
        table(rows)
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise UserError(
            f"--out={path}: it holds no rows of this program: move it away, or name another file"
        ) from error
    return rows


def case_of(name: str) -> Case:
    """One of the speed table, or a net of the zoo at its size and number of classes."""
    if name in CASES:
        return CASES[name]
    size, _, channels = models.REGISTRY[name].input_shape
    batch = next(batch for largest, batch in BATCHES.items() if size <= largest)
    options = {"scan": True} if name in LOOPED else {}
    classes = models.create(name).num_classes
    return Case(name, name, size, batch, channels=channels, classes=classes, options=options)


def measure(case: Case) -> Row:
    """ "cold" and "warm" -> the parts of the first step, and its whole wall and CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {"JAX_COMPILATION_CACHE_DIR": folder, **KEEP}
        return {temperature: start(case, kept) for temperature in TEMPERATURES}


def start(case: Case, environment: dict[str, str]) -> Row:
    watch = Stopwatch()
    with Worker("benchmarks.first_step_worker", environment=environment) as worker:
        found = worker.call("first_step", case=dataclasses.asdict(case))
        wall = watch.read().seconds
    cpu = sum(cpu for _, cpu in found["parts"].values())
    return {"wall": wall, "cpu": cpu, **found}


def is_same(row: Row, other: Row, of_commit: bool = False) -> bool:
    """Whether they measure the same with the same versions on the same processor."""

    def identity(row: Row) -> tuple[Any, ...]:
        on = row["machine"]
        last = (commit(row),) if of_commit else ()
        return (row["case"]["name"], on["device"], on["cpus"], on["versions"]["jaxlib"], *last)

    return identity(row) == identity(other)


def cells(row: Row) -> list[str]:
    cold, warm = (row[temperature] for temperature in TEMPERATURES)
    parts = [f"{cold['parts'][part][1]:.1f}" for part in PARTS]
    wholes = [f"{found[clock]:.1f}" for found in (cold, warm) for clock in ("wall", "cpu")]
    sizes = [str(cold[key]) for key in ("instructions", "instructions_optimised")]
    memory = f"{cold['peak_bytes'] / 1e6:.0f}"
    return [Case(**row["case"]).label, *wholes, *parts, *sizes, memory]


def table(rows: list[Row]) -> str:
    """In Markdown; seconds, and the parts of the cold start by CPU seconds."""
    heads = ["net", "cold, wall", "cold, CPU", "warm, wall", "warm, CPU", *PARTS]
    heads += ["instructions", "optimised", "peak MB"]
    words = sorted({in_words(row["machine"]) for row in rows})
    filled = [cells(row) for row in rows]
    for line, place in zip(filled, devices_of(rows), strict=True):
        line[0] += place
    lines = markdown(filled, heads)
    return "\n".join(f"- {line}" for line in words) + f"\n\n{lines}"


if __name__ == "__main__":  # flags only here, so that benchmarks can be imported
    MODEL = flags.DEFINE_list("model", list(CASES), f"Nets of the speed table, others, or {ZOO!r}.")
    RESUME = flags.DEFINE_bool("resume", False, "Leave out what this commit has measured.")
    OUT = flags.DEFINE_string("out", "benchmarks/results/first_step.json", "File for the figures.")
    cli.run(main)
