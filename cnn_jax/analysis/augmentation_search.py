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

import numpy as np
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
START_SHARE = 0.4  # of the time, at most, in which trials are begun: a compilation each
FEWEST_EPOCHS = 3.0  # passes over the examples, before which an augmentation has hardly a chance
FALSE_ALARMS = 0.05  # in how many searches noise alone may give an advice
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
    hits: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((1, 1)))

    @property
    def name(self) -> str:
        return " + ".join(self.policy) or "none"

    @property
    def accuracies(self) -> list[float]:
        """That of each seed, from `hits` [seeds, validation examples], 1 where it was right."""
        return self.hits.mean(1).tolist()

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
        self.start_cost = UnitCost()
        self.none_hits: dict[int, np.ndarray] = {}  # without augmentation, by steps
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
            self.policies = len(policies)
            trials = self.start(policies)
            ranking = self.rank(trials)
            unions = self.try_unions(ranking)
            self.use_what_is_left([*unions, *ranking])
            return self.record(ranking, unions, policies)

    @property
    def left(self) -> float:
        """Seconds of the time that was asked for."""
        return self.seconds - self.bar.elapsed

    def start(self, policies: list[Policy]) -> list[PolicyTrial]:
        """Trials of as many policies as can be compiled in their share of the time, two at least.

        Also finds what a start, a step and an evaluation cost.
        """
        trials = []
        for i, policy in enumerate(policies, 1):
            most = START_SHARE * self.seconds - self.start_cost.seconds
            if len(trials) > 1 and self.bar.elapsed > most:
                break
            name = " + ".join(policy) or "none"
            self.bar.describe(f"starting {i} of {len(policies)}: {name}")
            begun = time.monotonic()
            trials.append(self.new_trial(policy))
            self.train(trials[-1], TIMED_STEPS)
            self.start_cost.add(1, time.monotonic() - begun)
        self.baseline = trials[0]
        self.evaluator = self.baseline.experiment.evaluator("validation")
        self.evaluate(self.baseline)
        self.step_cost, self.evaluation_cost = UnitCost(), UnitCost()  # without compilation
        for trial in trials[:TIMED_STEPS]:
            self.train(trial, 2 * TIMED_STEPS)
        self.evaluate(self.baseline)
        return trials

    def new_trial(self, policy: Policy) -> PolicyTrial:
        """A policy at its start, with the same starts as all others."""
        config = self.config.copy_and_resolve_references()
        config.augment = policy
        experiment = make_experiment(config, self.dataset)
        return PolicyTrial(
            policy, experiment, [experiment.compiled.init(seed) for seed in range(self.seeds)]
        )

    def train(self, trial: PolicyTrial, steps: int) -> None:
        """Brings every state of a trial to `steps` updates, or to those of the config."""
        steps = min(steps, trial.experiment.clock.total_steps)
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
        trial.hits = np.array([r["prediction"] == r["label"] for r in results], np.float64)
        if trial is self.baseline:
            self.none_hits[trial.steps] = trial.hits
        self.evaluation_cost.add(self.seeds, time.monotonic() - begun)

    def rank(self, trials: list[PolicyTrial]) -> list[PolicyTrial]:
        """All trials, those that lasted longest first, by their accuracy within a rung."""
        baseline, *others = trials
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

    def first_rung_steps(self, rung: int, count: int) -> int:
        """The steps of the first rung, such that what is left of the search takes the time left."""
        counts = [math.ceil(count / 2**later) for later in range(RUNGS - rung)]
        steps = sum(n * share for n, share in zip(counts, RUNG_SHARES[rung:], strict=True))
        steps += (LARGEST_UNION - 1) * sum(RUNG_SHARES)
        evaluations = (sum(counts) + LARGEST_UNION - 1) * self.seeds
        left = self.left - evaluations * self.evaluation_cost.seconds
        left -= (LARGEST_UNION - 1) * self.start_cost.seconds
        return max(1, int(left / (steps * self.seeds * self.step_cost.seconds)))

    def try_unions(self, ranking: list[PolicyTrial]) -> list[PolicyTrial]:
        """Unions of what helped in the last rung, the best first; mixing transforms at the end.

        As many as there is time for.
        """
        longest = self.baseline.steps
        helped = [
            t for t in ranking[1:] if t.steps == longest and self.gain(t) > self.gain_error(t)
        ]
        unions = []
        for count in range(2, 1 + min(LARGEST_UNION, len(helped))):
            cost = self.start_cost.seconds + self.evaluation_cost.seconds * self.seeds
            if cost + longest * self.seeds * self.step_cost.seconds > self.left:
                break
            names = [t.policy[0] for t in helped[:count]]
            mixing = [n for n in names if n.startswith(("mixup", "cutmix"))]
            names = [n for n in names if n not in mixing] + mixing[:1]
            self.bar.describe(f"joined: {' + '.join(names)}")
            trial = self.new_trial(tuple(names))
            self.train(trial, longest)
            self.evaluate(trial)
            unions.append(trial)
        return unions

    def use_what_is_left(self, trials: list[PolicyTrial]) -> None:
        """Trains all that lasted on for the time left, each as long."""
        longest = self.baseline.steps
        lasted = [trial for trial in trials if trial.steps == longest]
        left = self.left - len(lasted) * self.seeds * self.evaluation_cost.seconds
        steps = int(left / (len(lasted) * self.seeds * self.step_cost.seconds))
        if steps < 1 or longest == self.baseline.experiment.clock.total_steps:
            return
        for i, trial in enumerate(sorted(lasted, key=lambda t: t is not self.baseline), 1):
            self.bar.describe(f"the time left, {i} of {len(lasted)}: {trial.name}")
            self.train(trial, longest + steps)
            self.evaluate(trial)

    def gains(self, trial: PolicyTrial) -> np.ndarray:
        """[seeds, examples]: against no augmentation from the same start after as many steps."""
        return trial.hits - self.none_hits[trial.steps]

    def gain(self, trial: PolicyTrial) -> float:
        return float(self.gains(trial).mean())

    def gain_error(self, trial: PolicyTrial) -> float:
        """The standard error of the mean gain: over the starts, and over the validation images."""
        gains = self.gains(trial)
        by_seed, by_example = gains.mean(1), gains.mean(0)
        variances = by_seed.var(ddof=1) / len(by_seed) + by_example.var() / len(by_example)
        return math.sqrt(variances)

    def record(
        self, ranking: list[PolicyTrial], unions: list[PolicyTrial], policies: list[Policy]
    ) -> dict[str, Any]:
        """The whole result, as JSON holds it."""
        augment, verdict = self.conclude([*unions, *ranking])
        return {
            "config": self.config.name,
            "dataset": self.config.data.name,
            "training_examples": len(self.dataset.train),
            "validation_examples": len(self.dataset.validation),
            "protocol": SINGLE,
            "seeds": self.seeds,
            "batch_size": self.config.batch_size,
            "seconds": round(self.bar.elapsed),
            "ranking": [self.row(trial) for trial in [*unions, *ranking]],
            "not_tried": [" + ".join(policy) for policy in policies[len(ranking) :]],
            "minutes_needed": self.minutes_needed(),
            "augment": augment,
            "verdict": verdict,
        }

    def conclude(self, trials: list[PolicyTrial]) -> tuple[list[str] | None, str]:
        """What is clearly better than none after enough steps, and the reason; None if nothing."""
        steps, size = self.baseline.steps, len(self.dataset.train)
        epochs = steps * self.config.batch_size / size
        if epochs < min(FEWEST_EPOCHS, self.config.epochs):
            return None, (
                f"too short to tell: {steps} steps are {epochs:.1f} passes over the examples, and "
                f"nothing is advised before {FEWEST_EPOCHS:g}: --minutes={self.minutes_needed()} "
                "would do, or fewer policies (--policy)"
            )
        lasted = [t for t in trials if t.steps == steps and t is not self.baseline]
        bound = statistics.NormalDist().inv_cdf(1 - FALSE_ALARMS / (len(trials) - 1))
        clear = [t for t in lasted if self.gain(t) > bound * self.gain_error(t)]
        best = max(clear or lasted, key=self.gain)
        figures = f"{best.name}: {self.gain(best):+.2%} ± {self.gain_error(best):.2%}"
        if clear:
            return list(best.policy), f"better than none, {figures}"
        return None, (
            f"nothing is better than none by more than {bound:.1f} standard errors, what noise "
            f"alone gives the best of {len(trials) - 1} ({figures}): more --minutes, --seeds or "
            "data.validation would show a smaller difference"
        )

    def minutes_needed(self) -> int:
        """In which all policies can be begun, and the last go over the examples often enough."""
        count = self.policies
        starts = (count + LARGEST_UNION - 1) * self.start_cost.seconds
        steps = FEWEST_EPOCHS * len(self.dataset.train) / self.config.batch_size
        counts = [math.ceil(count / 2**rung) for rung in range(RUNGS)]
        shares = sum(n * share for n, share in zip(counts, RUNG_SHARES, strict=True))
        trained = shares / sum(RUNG_SHARES) + LARGEST_UNION - 1  # trials, as if from end to end
        seconds = starts + trained * self.seeds * steps * self.step_cost.seconds
        seconds += (sum(counts) + LARGEST_UNION) * self.seeds * self.evaluation_cost.seconds
        return math.ceil(1.25 * max(seconds, count * self.start_cost.seconds / START_SHARE) / 60)

    def row(self, trial: PolicyTrial) -> dict[str, Any]:
        """A trial in the record."""
        return {
            "policy": list(trial.policy),
            "steps": trial.steps,
            "validation_accuracy": round(trial.mean, 5),
            "deviation": round(deviation(trial.accuracies), 5),
            "gain": round(self.gain(trial), 5),
            "gain_error": round(self.gain_error(trial), 5),
        }


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; 0 where one value says nothing of it."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
