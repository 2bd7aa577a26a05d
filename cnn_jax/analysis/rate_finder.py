"""The range test: Smith, "Cyclical learning rates for training neural networks", WACV 2017, 3.3.

A fresh net trains while its rate rises by the same factor from step to step, and the loss tells
where it learns and where it diverges. The loss of a step is noisy, so that it is smoothed, by a
window that is centred on its step: a running mean would lag behind, and name rates too high.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training import metrics
from cnn_jax.training.experiment import Experiment, make_experiment
from cnn_jax.training.step_loop import StepLoop

WINDOW = 0.03  # standard deviation of the smoothing, of the whole range of steps
BLOWN_UP = 4.0  # times the loss of the beginning: nothing is learnt by going on
RISEN = 0.5  # of the loss's whole fall, that it has risen again where it counts as diverging
SAFETY = 3.0  # the rate of the lowest loss is at the edge: this much below it trains well


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The losses by rate, as they were and smoothed; what is not finite ends them."""

    rates: np.ndarray
    losses: np.ndarray
    chance: float = math.inf  # the loss of the same answer for every image, where it is known

    @property
    def smoothed(self) -> np.ndarray:
        """Means over neighbouring steps, weighted by a normal curve."""
        steps = np.arange(len(self.losses))
        width = max(2.0, WINDOW * len(steps))
        weights = np.exp(-0.5 * np.square((steps[:, None] - steps[None]) / width))
        return weights @ self.losses / weights.sum(1)

    @property
    def lowest(self) -> float:
        """The rate at which the loss is lowest."""
        return float(self.rates[self.smoothed.argmin()])

    @property
    def learns(self) -> bool:
        """Whether the loss falls by more than it wavers."""
        smoothed = self.smoothed
        steps = np.diff(self.losses[: smoothed.argmin() + 1])
        noise = float(np.sqrt(np.mean(steps**2) / 2)) if len(steps) else np.inf
        return float(smoothed[0] - smoothed.min()) > 3 * noise

    @property
    def suggested(self) -> float:
        """A rate to train with: that of the lowest loss over `SAFETY`, two digits of it."""
        return two_digits(self.lowest / SAFETY)

    @property
    def diverging(self) -> float | None:
        """The rate from which on the loss has lost half of what it had won; None: there is none.

        Or all that it had won over `chance`: a net with BatchNorm begins far above it, and ends
        there when it diverges.
        """
        smoothed = self.smoothed
        best = int(smoothed.argmin())
        limit = smoothed[best] + RISEN * (smoothed[0] - smoothed[best])
        if smoothed[best] < self.chance:
            limit = min(limit, self.chance)
        bad = np.flatnonzero(smoothed[best:] > limit)
        return float(self.rates[best + bad[0]]) if len(bad) else None


def two_digits(value: float) -> float:
    """0.0012345 -> 0.0012."""
    return float(f"{value:.1e}")


class RateFinder:
    """A config's net, that can be trained from its start at any rate; compiled once."""

    def __init__(self, config: ConfigDict, steps: int, dataset: Dataset | None = None):
        config = config.copy_and_resolve_references()
        config.unlock()
        # The rate is a factor in the training state, as of a plateau.
        config.schedule.update({"name": "plateau", "gamma": 0.5, "warmup_epochs": 0.0})
        config.optimizer.learning_rate = 1.0
        config.steps_per_dispatch = 1
        self.steps = steps
        self.experiment = make_experiment(config, dataset)
        if self.experiment.step_spec.plan.phases[0].params:
            raise UserError("freeze: the range test is of a net that trains as a whole")

    def range_test(self, first: float, last: float) -> RangeTest:
        """With rates from `first` to `last`, until the loss blows up."""
        count = self.steps
        rates = first * (last / first) ** (np.arange(count) / max(1, count - 1))
        losses: list[float] = []
        with ProgressBar("range test", count) as bar:
            for loss in train_at(self.experiment, rates):
                if not math.isfinite(loss) or (losses and loss > BLOWN_UP * losses[0]):
                    break
                losses.append(loss)
                bar.advance()
        if not losses:
            raise UserError(f"the loss is not finite at the first step, at a rate of {first:g}")
        return RangeTest(rates[: len(losses)], np.array(losses), chance_loss(self.experiment))

    def losses_at(self, rate: float) -> np.ndarray:
        """Of as many steps at one rate; they end where the loss is not finite."""
        losses: list[float] = []
        with ProgressBar(f"training at {rate:.2g}", self.steps) as bar:
            for loss in train_at(self.experiment, [rate] * self.steps):
                if not math.isfinite(loss):
                    break
                losses.append(loss)
                bar.advance()
        return np.array(losses)


def chance_loss(experiment: Experiment) -> float:
    """ln K of cross entropy over K outputs, all alike; infinite where it is not known."""
    config = experiment.config
    if config.loss.name != "softmax_cross_entropy" or config.loss.auxiliary_weights:
        return math.inf
    return math.log(config.model.num_classes or experiment.dataset.task.outputs)


def train_at(experiment: Experiment, rates: Sequence[float] | np.ndarray) -> Iterator[float]:
    """Trains from the start, each step at its rate; yields the steps' losses."""
    with StepLoop(experiment, last_step=len(rates)) as steps:
        for rate in rates:
            set_rate(steps, float(rate))
            next(steps)
            total, count = metrics.sums(steps.carry.metrics)["loss"]
            empty = experiment.compiled.empty_metrics()
            steps.carry = steps.carry._replace(metrics=empty)
            yield total / count


def set_rate(steps: StepLoop, rate: float) -> None:
    """The factor of the steps that follow."""
    state = steps.carry.state
    plateau = state.lr_plateau_state._replace(scale=jnp.float32(rate))
    state = state.replace(lr_plateau_state=steps.experiment.devices.replicate(plateau))
    steps.carry = steps.carry._replace(state=state)
