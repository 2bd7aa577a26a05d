"""Claim: a step that trains the head alone costs at most 0.40 of one that trains all, and one that
trains the last stage and the head at most 0.60.

    python -m experiments.freezing_cost [--model=resnet18 --image_size=128 --batch_size=16]

The three steps take turns in one process, so that all have the same neighbours; a share is the
median of the steps' shares. Ends with status 1 where the claim fails.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks.harness.machine import in_words, machine
from cnn_jax import cli
from configs import artworks

LIMITS = {"all": 1.0, "last stage and head": 0.60, "head": 0.40}
ROWS = {"all": "finetune", "last stage and head": "freeze_1_3", "head": "freeze_1_4"}


class Steps:
    """One kind of training under way."""

    def __init__(self, row: str, dataset: Any):
        from cnn_jax.training.experiment import make_run

        config = artworks.get_config(f"{row}:digits")
        config.init["from"] = ""  # the cost does not depend on the weights
        config.model.name = MODEL.value
        config.data.image_size, config.batch_size = IMAGE_SIZE.value, BATCH_SIZE.value
        config.devices = 1
        self.run = make_run(config, dataset)
        self.feed, self.carry, self.step = self.run.feed(), self.run.steps.init(), 0
        self.seconds: list[float] = []
        begun = time.perf_counter()
        self.one()
        self.compiling = time.perf_counter() - begun
        self.seconds.clear()

    def one(self) -> None:
        begun = time.perf_counter()
        self.carry, done = self.run.steps.train(
            self.carry, self.feed.batch_at(self.step), self.step
        )
        done.block_until_ready()
        self.seconds.append(time.perf_counter() - begun)
        self.step += 1


def main(argv: Sequence[str]) -> int:
    del argv
    kinds: dict[str, Steps] = {}
    for name, row in ROWS.items():
        kinds[name] = Steps(row, kinds["all"].run.dataset if kinds else None)
    for _ in range(STEPS.value):
        for kind in kinds.values():
            kind.one()
    full, rows = kinds["all"].seconds, {}
    for name, kind in kinds.items():
        shares = [a / b for a, b in zip(kind.seconds, full, strict=True)]
        rows[name] = {
            "milliseconds": round(1e3 * statistics.median(kind.seconds), 2),
            "share": round(statistics.median(shares), 3),
            "limit": LIMITS[name],
            "compile_seconds": round(kind.compiling, 1),
        }
    held = all(row["share"] <= row["limit"] for row in rows.values())
    found = {
        "model": MODEL.value,
        "image_size": IMAGE_SIZE.value,
        "batch_size": BATCH_SIZE.value,
        "steps": STEPS.value,
        "machine": machine(),
        "rows": rows,
        "verdict": "holds" if held else "fails",
    }
    print(f"{MODEL.value}, {IMAGE_SIZE.value} px, batch {BATCH_SIZE.value}")
    print(in_words(found["machine"]))
    for name, row in rows.items():
        print(f"{name:20} {row['milliseconds']:9.1f} ms  {row['share']:.2f} (<= {row['limit']:g})")
    print(f"the claim {found['verdict']}")
    out = Path(OUT.value)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if held else 1


if __name__ == "__main__":  # flags only here, so that experiments can be imported
    MODEL = flags.DEFINE_string("model", "resnet18", "A net whose stages are a ResNet's.")
    IMAGE_SIZE = flags.DEFINE_integer("image_size", 128, "Pixels a side.", lower_bound=32)
    BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images a step.", lower_bound=1)
    STEPS = flags.DEFINE_integer("steps", 15, "Steps of each kind.", lower_bound=3)
    OUT = flags.DEFINE_string("out", "experiments/results/freezing_cost.json", "Where figures go.")
    cli.run(main)
