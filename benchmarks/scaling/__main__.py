"""Weak and strong scaling on one machine, and a model of a step's time that is held against it.

    python -m benchmarks.scaling [--nets=lenet5] [--rounds=9] [--measured=FILE]

Steps of nets on 1, 2 and 4 devices, of one process or of several on loopback (gloo), all warm and
in turns. The model (`host_model.py`) is fitted on some of the cases and held against the others.
Steps on chips (`chip_model.py`) are told from the plan of ResNet-50 on eight, held against the plan
for 256, and carried on to 1,024.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.harness.machine import in_words, machine
from benchmarks.harness.worker import ROOT, cores
from benchmarks.scaling import chip_model, host_model
from benchmarks.scaling.cases import ARRANGEMENTS, NETS, as_case, cases_of
from benchmarks.scaling.chip_model import ChipModel
from benchmarks.scaling.groups import Group, measure
from benchmarks.scaling.host_model import Measured
from cnn_jax import cli
from cnn_jax.errors import unknown
from cnn_jax.runtime.result_files import write_json

RESULTS = ROOT / "benchmarks/results"
PLANS = {8: "resnet50_v5e_2x4_float32.json", 256: "resnet50_v5e_16x16_float32.json"}
HALF = "resnet50_v5e_16x16_bfloat16.json"
CHIPS = (8, 256, 1024)


def main(argv: Sequence[str]) -> None:
    del argv
    for name in NETS_FLAG.value:
        if name not in NETS:
            raise unknown("--nets", name, NETS)
    if MEASURED.value:
        found = json.loads(Path(MEASURED.value).read_text())
    else:
        rows = measure_all(NETS_FLAG.value, ROUNDS.value)
        on = machine() | {"cores_used": cores()}
        found = {"machine": on, "rounds": ROUNDS.value, "cases": rows}
    found |= modelled(found["cases"]) | {"chips": on_chips(RESULTS)}
    write_json(OUT.value, found)
    print("\n".join(lines(found)))


def measure_all(nets: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    cases = [case for name in nets for case in cases_of(name, NETS[name])]
    with contextlib.ExitStack() as stack:
        groups = {shape: stack.enter_context(Group(*shape)) for shape in ARRANGEMENTS}
        return measure(cases, groups, rounds)


def modelled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rows with what the model says of each, and the model."""
    model = host_model.fit([measured(row) for row in rows if as_case(row).role == "fitted"])
    told = [None if as_case(row).role == "alone" else model.seconds(measured(row)) for row in rows]
    cases = [row | {"modelled": seconds} for row, seconds in zip(rows, told, strict=True)]
    return {"cases": cases, "model": dataclasses.asdict(model)}


def measured(row: dict[str, Any]) -> Measured:
    parts = [part for part in row["collectives"] if part["kind"] == "all-reduce"]
    size, count = (sum(part[key] for part in parts) for key in ("size", "count"))
    return Measured(as_case(row), row["cpu_seconds"], size, count)


def on_chips(results: Path) -> dict[str, Any]:
    """Seconds of a step by chips, from committed plans, and what is modelled beside what is told.

    `input_seconds` is of a chip's share of its host's cores, at the rate of `data_loading.json`.
    """
    loading = json.loads((results / "data_loading.json").read_text())
    decoded = loading["decoding"]["pipeline"] / loading["machine"]["cpus"]
    plans = {
        chips: json.loads((results / "plans" / name).read_text()) for chips, name in PLANS.items()
    }
    half = json.loads((results / "plans" / HALF).read_text())
    model, wanted = ChipModel.of(plans[8], decoded), ChipModel.of(plans[256], decoded)
    return {
        "float32": by_chips(model),
        "bfloat16": by_chips(ChipModel.of(half, decoded)),
        "of_256_by_8": {"modelled": model.seconds(256), "compiled": wanted.seconds(256)},
        "input_seconds": model.input(),
    }


def by_chips(model: ChipModel) -> dict[str, Any]:
    return {
        str(chips): {
            str(hop): {
                "seconds": model.seconds(chips, hop),
                "efficiency": model.efficiency(chips, hop),
            }
            for hop in chip_model.HOP_SECONDS
        }
        for chips in CHIPS
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Markdown: cases with what the model says of them, and chips."""
    loads = [load for row in found["cases"] for load in row["load"]]
    text = [
        f"{in_words(found['machine'])}; load {min(loads):.1f} to {max(loads):.1f}; medians of "
        f"{found['rounds']} rounds in turns",
        "",
        "| net, processes x devices, batch | ms a step | CPU ms | modelled | off by | |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["cases"]:
        cells = ["", ""]
        if row["modelled"] is not None:
            off = row["modelled"] / row["cpu_seconds"] - 1
            cells = [f"{row['modelled'] * 1e3:.1f}", f"{off:+.0%}"]
        times = f"{row['seconds'] * 1e3:.1f} | {row['cpu_seconds'] * 1e3:.1f}"
        text.append(
            f"| {as_case(row).label} | {times} | {' | '.join(cells)} | {row['case']['role']} |"
        )
    free, cautious = map(str, chip_model.HOP_SECONDS)
    text += ["", "| chips | float32, ms | efficiency | bfloat16, ms | efficiency |"]
    text += ["|---|---|---|---|---|"]
    for chips in map(str, CHIPS):
        cells = [
            f"{part[free]['seconds'] * 1e3:.1f} | {part[free]['efficiency']:.3f}, "
            f"{part[cautious]['efficiency']:.3f}"
            for part in (found["chips"][key][chips] for key in ("float32", "bfloat16"))
        ]
        text.append(f"| {chips} | {' | '.join(cells)} |")
    check = found["chips"]["of_256_by_8"]
    off = check["modelled"] / check["compiled"] - 1
    return [*text, "", f"256 chips by the program for 8: {off:+.3%} off that for 256"]


if __name__ == "__main__":  # flags only here, so that the tests can import this
    NETS_FLAG = flags.DEFINE_list("nets", list(NETS), "Of these.")
    ROUNDS = flags.DEFINE_integer("rounds", 9, "Turns of each case.", lower_bound=1)
    MEASURED = flags.DEFINE_string("measured", None, "Results whose times are taken, not made.")
    OUT = cli.define_file("out", "benchmarks/results/scaling.json", "File for the results.")
    cli.run(main)
