"""Which of YNNPACK's fusions are worth having on the CPU, with the jaxlib that is installed.

    python -m benchmarks.compiler_options [--model=NAMES] [--rounds=5]

Contenders take turns, each with another value of the option: CPU seconds of a train step and of
inference over those by XLA's Eigen alone ("none"); below 1 is faster. The choice is made in
`runtime.sharding`: the same for jaxlib 0.10 and 0.12, where a step of ResNet-20 with "dot, reduce"
takes 0.78 and 0.77 of the time. Results go to one file a version of jaxlib.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.harness.interleave import Rounds
from benchmarks.harness.machine import in_words, machine
from benchmarks.speed.cases import ON_CPU, Case
from benchmarks.speed.contenders import jax_contender, measure
from benchmarks.speed.table import seconds
from cnn_jax import cli
from cnn_jax.analysis import tables
from cnn_jax.errors import unknown

OPTION = "xla_cpu_experimental_ynn_fusion_type"
DOT, REDUCE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT", "LIBRARY_FUSION_TYPE_REDUCE"
VALUES: dict[str, dict[str, str]] = {
    "none": {OPTION: ""},
    "dot": {OPTION: DOT},
    "reduce": {OPTION: REDUCE},
    "dot, reduce": {OPTION: f"{DOT},{REDUCE}"},
    "jaxlib's": {},  # with convolutions
}
CASES = {case.name: case for case in ON_CPU} | {
    "resnet20": Case("resnet20", "resnet20_cifar", 32, 32),
}


def main(argv: Sequence[str]) -> int:
    del argv
    for name in MODEL.value:
        if name not in CASES:
            raise unknown("--model", name, CASES)
    rows: list[dict[str, Any]] = []
    for task in TASKS.value:
        for name in MODEL.value:
            rows.append({"model": name, "task": task} | ratios(CASES[name], task))
            print(rows[-1], flush=True)
    on = machine()
    print(in_words(on))
    tables.print_table(("net", "task", *VALUES), [[str(v) for v in row.values()] for row in rows])
    out = Path(OUT.value) / f"jaxlib_{importlib.metadata.version('jaxlib')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": on, "rows": rows}, indent=1) + "\n")
    return 0


def ratios(case: Case, task: str) -> dict[str, float]:
    """Value of the option -> CPU seconds of a step over those of "none"."""
    contenders = {n: jax_contender(task, compiler_options=value) for n, value in VALUES.items()}
    results = measure(case, contenders, Rounds(ROUNDS.value, SECONDS.value))["contenders"]
    base = seconds(results["none"], "cpu")
    return {name: round(seconds(result, "cpu") / base, 3) for name, result in results.items()}


if __name__ == "__main__":  # flags only here, so that benchmarks can be imported
    MODEL = flags.DEFINE_list("model", ["lenet5", "resnet20"], "Nets of speed/cases.py, resnet20.")
    TASKS = flags.DEFINE_list("tasks", ["train", "infer"], "Of train and infer.")
    ROUNDS = flags.DEFINE_integer("rounds", 5, "Turns of each contender.", lower_bound=2)
    SECONDS = flags.DEFINE_float("seconds", 0.5, "Of a turn, about; a step at least.", 0.0)
    OUT = flags.DEFINE_string("out", "benchmarks/results/compiler_options", "Folder for figures.")
    cli.run(main)
