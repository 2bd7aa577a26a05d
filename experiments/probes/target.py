"""Time to a target: steps and seconds until a figure of validation is reached.

The rule, as in AlgoPerf (Dahl et al. 2023): every arm has the same number of rates to choose from,
by the steps to the target on a seed of its own; then it is judged on other seeds. Evaluation and
compilation take no time here. An arm that does not reach the target has the steps and seconds of
its whole training, which is too few.

Seconds are of the processor, all its threads together, so that neighbours count for little; those
of the clock are kept beside them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from cnn_jax.training import metrics
from cnn_jax.training.experiment import Experiment, make_experiment


class Clocks(NamedTuple):
    """Seconds since some moment."""

    processor: float
    wall: float

    @classmethod
    def read(cls) -> Clocks:
        return cls(time.process_time(), time.perf_counter())


def accuracy_85(config: ConfigDict, folder: Path) -> dict[str, float]:
    return time_to(config, 0.85)


def time_to(config: ConfigDict, target: float) -> dict[str, float]:
    """Steps and seconds to a validation accuracy, looked at every `eval_every_epochs`."""
    experiment = make_experiment(config)
    compile_step(experiment)
    evaluator, task = experiment.evaluator("validation"), experiment.dataset.task
    spent, step, accuracy = Clocks(0.0, 0.0), 0, 0.0
    with experiment.step_loop() as steps:
        begun = Clocks.read()
        for step in steps:
            if not experiment.clock.is_time(step, config.eval_every_epochs):
                continue
            steps.wait()
            now = Clocks.read()
            spent = Clocks(*(s + n - b for s, n, b in zip(spent, now, begun, strict=True)))
            accuracy = metrics.summarise(task, evaluator(steps.carry.state))["accuracy"]
            if accuracy >= target:
                break
            begun = Clocks.read()
    return {
        "steps": float(step),
        "processor seconds": spent.processor,
        "seconds": spent.wall,
        "reached": float(accuracy >= target),
        "accuracy": 100 * accuracy,
    }


def compile_step(experiment: Experiment) -> None:
    """One step whose result is thrown away: a new loop begins with the same weights."""
    with experiment.step_loop() as steps:
        next(steps)
        steps.wait()
