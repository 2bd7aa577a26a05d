"""Is the rate that the range test suggests as good as the best of a sweep?

    python -m benchmarks.learning_rates --data=DIR [--out=FILE.json]

LeNet-5 on MNIST and LeNet-5 with BatchNorm on Fashion-MNIST, three epochs of 10,000 images,
and ResNet-20 on CIFAR-10, two epochs of 4,096, each by its config's own schedule (ResNet-20's steps
at the same parts of the run), at the suggested rate and at those of a sweep by half decades: the
mean accuracy on 5,000 validation images over seeds. The claim holds where the suggested rate is
within 0.3 points of the best, and where every rate of the sweep within the region that is called
diverging is more than 0.3 points below it. The best of several noisy means lies above what it would
measure again: beside the gap stands its standard error, from the differences seed by seed.

`--again=FILE.json` draws the verdicts of measured runs by the rule as it is now.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from benchmarks.harness.machine import machine
from cnn_jax import cli, data
from cnn_jax.analysis.rate_finder import RangeTest, RateFinder, set_rate
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.config_files import load_config
from cnn_jax.runtime.progress import track
from cnn_jax.training import metrics, optimizers


class Case(NamedTuple):
    """A config, how much of it is trained, and how wide the sweep is."""

    config: str
    examples: int
    epochs: float
    seeds: int
    test_steps: int  # of the range test
    decades: tuple[float, float]  # of the sweep


RUNS = {
    "lenet5": Case("lenet5:mnist", 10_000, 3.0, 4, 300, (-4.5, 0)),
    "bn_lenet": Case("bn_lenet:fashion_mnist", 10_000, 3.0, 4, 300, (-4.5, 0)),
    "resnet20": Case("resnet20_cifar:cifar10", 4096, 2.0, 3, 120, (-2, 0.5)),
}
POINTS = 0.003

DATA = flags.DEFINE_string("data", "~/.cache/cnn_jax/data", "Folder with mnist/, cifar10/, ...")
ONLY = flags.DEFINE_string("only", "", "One of the runs.")
AGAIN = flags.DEFINE_string("again", None, "A result whose verdicts are drawn anew.")
OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")


def main(argv: Sequence[str]) -> int:
    del argv
    if ONLY.value and ONLY.value not in RUNS:
        raise unknown("--only", ONLY.value, RUNS)
    if AGAIN.value:
        return judge_again(Path(AGAIN.value))
    out = Path(OUT.value) if OUT.value else None
    results: dict[str, Any] = json.loads(out.read_text()) if out and out.exists() else {}
    for name in [ONLY.value] if ONLY.value else RUNS:
        results[name] = measure(RUNS[name]) | {"machine": machine()}
        print(in_words(name, results[name]), flush=True)
        if out:
            out.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(result["holds"] for result in results.values()) else 1


def judge_again(path: Path) -> int:
    """The range tests and sweeps of a file, judged by the rule as it is."""
    results = json.loads(path.read_text())
    for name, result in results.items():
        rates, losses = np.array(result["rates"]), np.array(result["losses"])
        sweep = {row["rate"]: row["accuracies"] for row in result["sweep"]}
        found = RangeTest(rates, losses, result["chance"])
        if found.suggested != result["suggested"]:
            raise UserError(
                f"{path}: {name} has no accuracy at {found.suggested}: measure it again"
            )
        result.update(verdict(found, sweep))
        print(in_words(name, result))
    path.write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(result["holds"] for result in results.values()) else 1


def measure(case: Case) -> dict[str, Any]:
    """The range test, then the sweep, with one compiled program."""
    config = load_config(case.config)
    config.data.dir = DATA.value
    if config.schedule.at_epochs:  # at the same parts of the run
        parts = [epoch / config.epochs * case.epochs for epoch in config.schedule.at_epochs]
        config.schedule.at_epochs = tuple(parts)
    config.update({"epochs": case.epochs, "devices": 1})
    whole = data.load(config.data)
    rows = np.random.default_rng(0).permutation(len(whole.train))[: case.examples]
    dataset = dataclasses.replace(whole, train=whole.train.take(rows))
    finder = RateFinder(config, case.test_steps, dataset)
    found = finder.range_test(1e-6, 10.0)
    config.optimizer.learning_rate = 1.0
    schedule = optimizers.make_schedule(config, finder.experiment.clock)
    first, last = case.decades
    rates = [10**exponent for exponent in np.arange(first, last + 0.01, 0.5).tolist()]
    sweep = {}
    for rate in track([found.suggested, *rates], case.config):
        sweep[rate] = [accuracy(finder, rate, schedule, seed) for seed in range(case.seeds)]
    return (
        case._asdict()
        | verdict(found, sweep)
        | {
            "chance": found.chance,
            "losses": found.losses.round(4).tolist(),
            "rates": found.rates.tolist(),
        }
    )


def verdict(found: RangeTest, sweep: dict[float, list[float]]) -> dict[str, Any]:
    """What the accuracies by rate and seed say of the suggested rate."""
    means = {rate: float(np.mean(values)) for rate, values in sweep.items()}
    others = {rate: mean for rate, mean in means.items() if rate != found.suggested}
    best = max(others, key=lambda rate: others[rate])
    behind = np.subtract(sweep[best], sweep[found.suggested])
    edge = found.diverging or np.inf
    bad = [means[rate] for rate in sweep if rate >= edge]
    return {
        "suggested": found.suggested,
        "lowest": found.lowest,
        "diverging": found.diverging,
        "sweep": [{"rate": rate, "accuracies": values} for rate, values in sweep.items()],
        "best": best,
        "behind": float(behind.mean()),
        "standard_error": float(behind.std(ddof=1) / np.sqrt(len(behind))),
        "holds": bool(
            behind.mean() <= POINTS and all(max(means.values()) - m > POINTS for m in bad)
        ),
    }


def accuracy(finder: RateFinder, rate: float, schedule: Any, seed: int) -> float:
    """On validation after the run; what is not finite is no answer."""
    experiment = finder.experiment
    carry = experiment.compiled.init(seed)
    with experiment.step_loop(carry, seed=seed) as steps:
        for step in range(experiment.clock.total_steps):
            set_rate(steps, rate * float(schedule(step)))
            next(steps)
        examples = experiment.evaluator("validation")(steps.carry.state)
    return metrics.summarise(experiment.dataset.task, examples)["accuracy"]


def in_words(name: str, result: dict[str, Any]) -> str:
    edge = result["diverging"]
    lines = [
        f"{name}: suggested {result['suggested']:g}, lowest loss at {result['lowest']:.2g}, "
        f"diverging from {edge and round(edge, 4)}"
    ]
    for row in result["sweep"]:
        values = " ".join(f"{value:.2%}" for value in row["accuracies"])
        lines.append(f"  {row['rate']:9.2g}  {np.mean(row['accuracies']):.2%}  ({values})")
    gap = f"{100 * result['behind']:.2f} +- {100 * result['standard_error']:.2f} points"
    word = "holds" if result["holds"] else "fails"
    lines.append(f"  {gap} behind the best other rate ({result['best']:.2g}): the claim {word}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
