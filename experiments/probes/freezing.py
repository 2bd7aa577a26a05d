"""What a step costs when a part of the net is frozen."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from ml_collections import ConfigDict

from cnn_jax.training.experiment import Experiment, make_experiment

STEPS = 15
FROZEN = {
    "all": (),
    "last stage and head": ("conv1", "layer[123]"),
    "head": ("conv1", "layer[1234]"),
}


class StepTimer:
    """Training steps of one kind, one at a time."""

    def __init__(self, experiment: Experiment):
        self.steps, self.seconds = experiment.step_loop(), []
        self.time_step()
        self.seconds.clear()  # the first one compiled

    def time_step(self) -> None:
        begun = time.perf_counter()
        next(self.steps)
        self.steps.wait()
        self.seconds.append(time.perf_counter() - begun)


def cost(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The time of a step as a share of one that trains all: the median over steps.

    The kinds take turns in one process, so that all have the same neighbours.
    """
    del folder
    timers, dataset = {}, None
    for name, freeze in FROZEN.items():
        changed = config.copy_and_resolve_references().unlock()
        changed.freeze, changed.devices = freeze, 1
        experiment = make_experiment(changed.lock(), dataset)
        dataset = experiment.dataset
        timers[name] = StepTimer(experiment)
    for _ in range(STEPS):
        for timer in timers.values():
            timer.time_step()
    whole = timers["all"].seconds
    figures = {}
    for name, timer in timers.items():
        shares = [part / all_ for part, all_ in zip(timer.seconds, whole, strict=True)]
        figures[name] = statistics.median(shares)
        figures[f"{name}, milliseconds"] = 1e3 * statistics.median(timer.seconds)
    return figures
