"""A search for the augmentation that helps a dataset, by successive halving.

What it does is described in `tools.search_augmentation`.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.data.splits import hold_out
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training.experiment import Experiment, make_experiment

RUNGS = 3
RUNG_SHARES = (1, 1, 2)  # of each rung in a trial's steps: it trains as long again
TIMED_STEPS = 4  # steps to find what one costs
LARGEST_UNION = 3  # transforms at most in the policy that is put together
SHAPES = (
    "horizontal_flip",
    "vertical_flip",
    "rotate_quarter",
    "pad_and_crop(2)",
    "random_resized_crop(0.6)",
    "rotate(15)",
    "translate(0.1)",
    "scale(0.1)",
    "stretch(0.1)",
    "shear(15, 0)",
    "elastic(34, 4)",
    "brightness(0.2)",
    "contrast(0.2)",
    "gaussian_noise(10)",
    "random_erasing(0.5)",
    "mixup(0.2)",
    "cutmix(1.0)",
    "trivial_augment",
)
COLOURS = ("saturation(0.3)", "hue(0.05)", "colour_cast(0.1)", "pca_lighting(0.1)")


Policy = tuple[str, ...]


@dataclasses.dataclass
class PolicyTrial:
    """One policy in training: a state for each seed, and what they reached."""

    policy: Policy
    experiment: Experiment
    carries: list[Any]
    steps: int = 0
    accuracies: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return " + ".join(self.policy) or "none"

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)


@dataclasses.dataclass
class UnitCost:
    """What one of many costs, in seconds."""

    count: int = 0
    total: float = 0.0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.total += seconds

    @property
    def seconds(self) -> float:
        return self.total / max(1, self.count)


class AugmentationSearch:
    """What all trials share: the examples, the starts, the evaluator and the time."""

    def __init__(self, config: ConfigDict, examples: int, seeds: int, seconds: float):
        self.config, self.seconds, self.seeds = config.copy_and_resolve_references(), seconds, seeds
        self.config.unlock()
        self.config.augment = ()
        experiment = make_experiment(self.config)
        key = f"data.name={config.data.name!r}"
        if experiment.dataset.task.kind != "classification":
            raise UserError(f"{key}: the search compares accuracies, and there are no classes")
        if not experiment.dataset.train.in_memory:
            raise UserError(f"{key}: the search needs the images in memory: data.streaming=False")
        if not len(experiment.dataset.validation):
            raise UserError(f"{key}: data.validation=0 leaves the search no judge")
        self.channels = experiment.dataset.train.image_shape[-1]
        self.dataset = self.limit_examples(experiment.dataset, examples)
        self.step_cost, self.evaluation_cost = UnitCost(), UnitCost()
        self.bar = ProgressBar("augmentations", seconds)

    def limit_examples(self, dataset: Dataset, examples: int) -> Dataset:
        """The dataset with so many training examples, by class."""
        train = dataset.train
        if examples < len(train):
            _, train = hold_out(train, float(examples), self.config.data.split_seed, "--examples")
        return dataclasses.replace(dataset, train=train)

    def run(self, policies: list[Policy]) -> dict[str, Any]:
        """The whole search; its result, as JSON holds it. The first policy is to be empty."""
        with self.bar:
            ranking = self.rank(policies)
            unions = self.try_unions(ranking)
            return self.record(ranking, unions)

    def new_trial(self, policy: Policy) -> PolicyTrial:
        """A policy at its start, with the same starts as all others."""
        config = self.config.copy_and_resolve_references()
        config.augment = policy
        experiment = make_experiment(config, self.dataset)
        return PolicyTrial(
            policy, experiment, [experiment.compiled.init(seed) for seed in range(self.seeds)]
        )

    def train(self, trial: PolicyTrial, steps: int) -> None:
        """Brings every state of a trial to `steps` updates."""
        begun = time.monotonic()
        for seed, carry in enumerate(trial.carries):
            with trial.experiment.step_loop(carry, trial.steps, steps, seed) as loop:
                for _ in loop:
                    self.bar.reach(self.bar.elapsed)
                loop.wait()
                trial.carries[seed] = loop.carry
        self.step_cost.add((steps - trial.steps) * self.seeds, time.monotonic() - begun)
        trial.steps = steps

    def evaluate(self, trial: PolicyTrial) -> None:
        """The accuracies of a trial's states on the validation split."""
        begun = time.monotonic()
        results = [self.evaluator(state) for state, _ in trial.carries]
        trial.accuracies = tuple(float((r["prediction"] == r["label"]).mean()) for r in results)
        self.evaluation_cost.add(self.seeds, time.monotonic() - begun)

    def rank(self, policies: list[Policy]) -> list[PolicyTrial]:
        """All trials, those that lasted longest first, by their accuracy within a rung."""
        baseline, *others = trials = [self.new_trial(policy) for policy in policies]
        self.baseline, self.evaluator = baseline, baseline.experiment.evaluator("validation")
        self.measure_costs(trials)
        ended: list[list[PolicyTrial]] = []  # by the rung after which they stopped
        for rung in range(RUNGS):
            steps = baseline.steps + self.first_rung_steps(rung, len(trials)) * RUNG_SHARES[rung]
            for i, trial in enumerate(trials, 1):
                self.bar.describe(f"rung {rung + 1} of {RUNGS}, {i} of {len(trials)}: {trial.name}")
                self.train(trial, steps)
                self.evaluate(trial)
            others.sort(key=lambda t: -t.mean)
            survivors = max(1, math.ceil(len(others) / 2)) if rung < RUNGS - 1 else 0
            ended.append(others[survivors:])
            for trial in ended[-1] if survivors else ():
                trial.carries = []  # their memory
            others = others[:survivors]
            trials = [baseline, *others]
        return [baseline, *(trial for rung in reversed(ended) for trial in rung)]

    def measure_costs(self, trials: list[PolicyTrial]) -> None:
        """Compiles what all trials run, then finds what a step and an evaluation cost."""
        for steps in (TIMED_STEPS, 2 * TIMED_STEPS):
            self.step_cost, self.evaluation_cost = UnitCost(), UnitCost()
            for i, trial in enumerate(trials, 1):
                self.bar.describe(f"starting {i} of {len(trials)}: {trial.name}")
                self.train(trial, steps)
            self.evaluate(self.baseline)

    def first_rung_steps(self, rung: int, count: int) -> int:
        """The steps of the first rung, such that what is left of the search takes the time left."""
        counts = [math.ceil(count / 2**later) for later in range(RUNGS - rung)]
        steps = sum(n * share for n, share in zip(counts, RUNG_SHARES[rung:], strict=True))
        steps += (LARGEST_UNION - 1) * sum(RUNG_SHARES)
        evaluations = (sum(counts) + LARGEST_UNION - 1) * self.seeds
        left = self.seconds - self.bar.elapsed - evaluations * self.evaluation_cost.seconds
        return max(TIMED_STEPS, int(left / (steps * self.seeds * self.step_cost.seconds)))

    def try_unions(self, ranking: list[PolicyTrial]) -> list[PolicyTrial]:
        """Unions of what helped in the last rung, the best first; mixing transforms at the end."""
        longest = max(trial.steps for trial in ranking)
        helped = [
            t
            for t in ranking[1:]
            if t.steps == longest and t.mean - self.baseline.mean > self.gain_error(t)
        ]
        unions = []
        for count in range(2, 1 + min(LARGEST_UNION, len(helped))):
            names = [t.policy[0] for t in helped[:count]]
            mixing = [n for n in names if n.startswith(("mixup", "cutmix"))]
            names = [n for n in names if n not in mixing] + mixing[:1]
            trial = self.new_trial(tuple(names))
            self.bar.describe(f"joined: {trial.name}")
            self.train(trial, longest)
            self.evaluate(trial)
            unions.append(trial)
        return unions

    def gains(self, trial: PolicyTrial) -> list[float]:
        """Against no augmentation from the same start, where both have trained as long."""
        if trial.steps != self.baseline.steps:
            return []
        return [a - b for a, b in zip(trial.accuracies, self.baseline.accuracies, strict=True)]

    def gain_error(self, trial: PolicyTrial) -> float:
        """The standard error of the mean gain."""
        return deviation(self.gains(trial)) / math.sqrt(self.seeds)

    def record(self, ranking: list[PolicyTrial], unions: list[PolicyTrial]) -> dict[str, Any]:
        """The whole result, as JSON holds it."""
        rows = [self.row(trial) for trial in [*unions, *ranking]]
        longest = max(row["steps"] for row in rows)
        best = max(
            (row for row in rows if row["steps"] == longest),
            key=lambda row: row["validation_accuracy"],
        )
        return {
            "config": self.config.name,
            "dataset": self.config.data.name,
            "training_examples": len(self.dataset.train),
            "validation_examples": len(self.dataset.validation),
            "protocol": SINGLE,
            "seeds": self.seeds,
            "batch_size": self.config.batch_size,
            "seconds": round(self.bar.elapsed),
            "ranking": rows,
            "augment": best["policy"],
        }

    def row(self, trial: PolicyTrial) -> dict[str, Any]:
        """A trial in the record."""
        gains = self.gains(trial)
        return {
            "policy": list(trial.policy),
            "steps": trial.steps,
            "validation_accuracy": round(trial.mean, 5),
            "deviation": round(deviation(trial.accuracies), 5),
            "gain": round(statistics.fmean(gains), 5) if gains else None,
            "gain_error": round(self.gain_error(trial), 5) if gains else None,
        }


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; 0 where one value says nothing of it."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
