"""Is the rate that the range test suggests as good as the best of a sweep?

    python -m benchmarks.learning_rates --data=DIR [--out=FILE.json]

LeNet-5 on MNIST and LeNet-5 with BatchNorm on Fashion-MNIST, each on 10,000 training images for
three epochs by its config's own schedule, at the suggested rate and at those of a sweep, by half
decades; the mean validation accuracy of two seeds. The claim holds where the suggested rate is
within 0.3 points of the best, and where every rate of the sweep within the region that is called
diverging is more than 0.3 points below it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.harness.machine import machine
from cnn_jax import cli, data
from cnn_jax.analysis.rate_finder import RateFinder, set_rate
from cnn_jax.runtime.config_files import load_config
from cnn_jax.runtime.progress import track
from cnn_jax.training import metrics, optimizers

RUNS = {"lenet5": "lenet5:mnist", "bn_lenet": "bn_lenet:fashion_mnist"}
RATES = [10 ** (k / 2) for k in range(-9, 1)]  # 3e-5 ... 1
EXAMPLES, EPOCHS, SEEDS, POINTS = 10_000, 3.0, 2, 0.003

DATA = flags.DEFINE_string("data", "~/.cache/cnn_jax/data", "Folder with mnist/, fashion_mnist/.")
ONLY = flags.DEFINE_string("only", "", "One of the runs.")
OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")


def main(argv: Sequence[str]) -> int:
    del argv
    results: dict[str, Any] = {"machine": machine()}
    for name, config in RUNS.items():
        if ONLY.value in ("", name):
            results[name] = measure(config)
            print(in_words(name, results[name]))
    if OUT.value:
        Path(OUT.value).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(r["holds"] for name, r in results.items() if name in RUNS) else 1


def measure(name: str) -> dict[str, Any]:
    """The range test, then the sweep, with one compiled program."""
    config = load_config(name)
    config.data.dir = DATA.value
    config.update({"epochs": EPOCHS, "devices": 1})
    whole = data.load(config.data)
    rows = np.random.default_rng(0).permutation(len(whole.train))[:EXAMPLES]
    dataset = dataclasses.replace(whole, train=whole.train.take(rows))
    finder = RateFinder(config, 300, dataset)
    found = finder.range_test(1e-6, 10.0)
    config.optimizer.learning_rate = 1.0
    schedule = optimizers.make_schedule(config, finder.experiment.clock)
    sweep = {}
    for rate in track([found.suggested, *RATES], name):
        sweep[rate] = [accuracy(finder, rate, schedule, seed) for seed in range(SEEDS)]
    means = {rate: float(np.mean(values)) for rate, values in sweep.items()}
    best = max(means.values())
    bad = [means[r] for r in RATES if found.diverging and r >= found.diverging]
    return {
        "suggested": found.suggested,
        "lowest": found.lowest,
        "diverging": found.diverging,
        "sweep": [{"rate": rate, "accuracies": values} for rate, values in sweep.items()],
        "behind": best - means[found.suggested],
        "holds": best - means[found.suggested] <= POINTS and all(best - m > POINTS for m in bad),
        "losses": found.losses.round(4).tolist(),
        "rates": found.rates.tolist(),
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
    verdict = "holds" if result["holds"] else "fails"
    lines.append(f"  {100 * result['behind']:.2f} points behind the best: the claim {verdict}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main)
