"""What is measured on a run's record. A run that diverged has the value that each measure names.

A record (see runner.py) has `evaluations`, the rows after each evaluation; `log`, the rows between;
`report`, of the best checkpoint on the test split, the last one where there was one evaluation
alone; `probe`, what the claim's own function measured; and `diverged`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number of a record. The name says all that it depends on: it is part of the protocol."""

    name: str
    unit: str
    value: Callable[[Record], float]
    if_diverged: float
    better: str = "greater"
    ended: Callable[[Record], bool] | None = None  # before what is measured: a bound is the value

    def __call__(self, record: Record) -> float:
        return self.if_diverged if record.get("diverged") else float(self.value(record))


def held_out(record: Record, figure: str) -> float:
    """The mean over all images that were not trained on, after the last epoch.

    The validation split is the training images left over; with one evaluation alone, the report on
    test is of the same weights, and its images count too.
    """
    last, report = record["evaluations"][-1], record["report"]
    if f"test/{figure}" in last:
        return last[f"test/{figure}"]
    if len(record["evaluations"]) > 1:
        return last[f"validation/{figure}"]
    count, examples = record["validation_examples"], report["examples"]
    total = count * last[f"validation/{figure}"] + examples * report[figure]
    return total / (count + examples)


ACCURACY = Measure("held-out accuracy", "points", lambda r: 100 * held_out(r, "accuracy"), 10.0)
HELD_OUT_LOSS = Measure("held-out loss", "nats", lambda r: held_out(r, "loss"), 10.0, "less")
TRAIN_LOSS = Measure(
    "training loss of the last epoch",
    "nats",
    lambda r: r["evaluations"][-1]["train/loss"],
    10.0,
    "less",
)
FIRST_TRAIN_LOSS = Measure(
    "training loss up to the first evaluation",
    "nats",
    lambda r: r["evaluations"][0]["train/loss"],
    10.0,
    "less",
)
TRAIN_ACCURACY = Measure(
    "training accuracy of the last epoch",
    "points",
    lambda r: 100 * r["evaluations"][-1]["train/accuracy"],
    10.0,
)
MACRO_RECALL = Measure(
    "macro accuracy on test",
    "points",
    lambda r: 100 * r["report"]["macro_average"]["recall"],
    10.0,
)
TEST_ACCURACY = Measure("accuracy on test", "points", lambda r: 100 * r["report"]["accuracy"], 10.0)
GAP = Measure(
    "held-out loss minus training loss",
    "nats",
    lambda r: held_out(r, "loss") - r["evaluations"][-1]["train/loss"],
    10.0,
    "less",
)


def steps_to(figure: str, target: float) -> Measure:
    """Steps to the first row whose figure passes the target; all of them where none does.

    `figure` is like "validation/accuracy" (rows of evaluations) or "loss" (of the training log);
    a loss passes downwards.
    """
    below = figure.endswith("loss")

    def first(record: Record) -> float | None:
        rows = record["evaluations"] if "/" in figure else record["log"]
        for row in rows:
            if row[figure] <= target if below else row[figure] >= target:
                return row["step"]
        return None

    def value(record: Record) -> float:
        step = first(record)
        return record["steps"] if step is None else step

    def ended(record: Record) -> bool:
        return not record.get("diverged") and first(record) is None

    return Measure(f"steps to {figure} {target:g}", "steps", value, 1e6, "less", ended)


def largest_loss(steps: int) -> Measure:
    """The largest loss that the training log has in the first steps."""

    def value(record: Record) -> float:
        return max(row["loss"] for row in record["log"] if row["step"] <= steps)

    return Measure(f"largest loss in {steps} steps", "nats", value, 1e6, "less")


def probed(key: str, unit: str, if_diverged: float = math.nan, better: str = "greater") -> Measure:
    """A number that the claim's own function returned."""
    return Measure(key, unit, lambda r: r["probe"][key], if_diverged, better)


ACCURACY_OVER_MACRO = Measure(
    "accuracy on test less macro accuracy",
    "points",
    lambda r: 100 * (r["report"]["accuracy"] - r["report"]["macro_average"]["recall"]),
    0.0,
)
TEST_OVER_VALIDATION = Measure(
    "accuracy on test less accuracy on held-out training images",
    "points",
    lambda r: 100 * (r["report"]["accuracy"] - r["evaluations"][-1]["validation/accuracy"]),
    0.0,
)
# The report is of the weights that are best on validation; the probe has the last ones.
STOPPED_ACCURACY = Measure(
    "accuracy on test, best checkpoint less last",
    "points",
    lambda r: 100 * r["report"]["accuracy"] - r["probe"]["last accuracy"],
    0.0,
)
STOPPED_LOSS = Measure(
    "loss on test, best checkpoint less last",
    "nats",
    lambda r: r["report"]["loss"] - r["probe"]["last loss"],
    0.0,
    "less",
)
