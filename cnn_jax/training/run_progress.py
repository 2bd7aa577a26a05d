"""Where a run stands beside its state on the device."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass
class RunProgress:
    """Saved with every checkpoint, under these names."""

    step: int = 0
    best_step: int = -1
    best_rank: tuple[float, float] | None = None
    evaluations_since_best: int = 0
    stopped: bool = False
    epoch_sums: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    rows_bytes: int = 0
    evaluation_due: bool = False  # of `step`: a signal ended it
    rate_factor: float = 1.0  # of the schedule's rate, lowered by `on_nan`

    def add(self, sums: dict[str, tuple[float, int]]) -> None:
        """Counts the sums of a window into the epoch's."""
        for name, (total, count) in sums.items():
            old = self.epoch_sums.get(name, [0.0, 0])
            self.epoch_sums[name] = [old[0] + total, old[1] + count]

    def take_means(self) -> dict[str, float]:
        """The means since the last call."""
        means = {name: total / count for name, (total, count) in self.epoch_sums.items() if count}
        self.epoch_sums = {}
        return means

    def record_evaluation(self, rank: tuple[float, float], patience: int) -> None:
        """Takes in an evaluation at `step`; of two ranks the larger is better."""
        if np.isfinite(rank).all() and (self.best_rank is None or rank > tuple(self.best_rank)):
            self.best_step, self.best_rank, self.evaluations_since_best = self.step, rank, 0
        else:
            self.evaluations_since_best += 1
        self.stopped = 0 < patience <= self.evaluations_since_best

    def go_on(self, patience: int) -> None:
        """Takes an early stop back where `patience` is larger than what stopped the run."""
        self.stopped = 0 < patience <= self.evaluations_since_best
