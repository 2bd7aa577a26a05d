"""The one place that turns epochs, examples and steps into each other, and says when it is time.

Training reads one endless stream: the epochs' orders, one after another, cut into batches. A batch
may cross into the next epoch, so that every example is seen exactly once an epoch and every batch
is full.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Clock:
    """`examples` of the training split, `batch_size` of a step, `epochs` to train (a float)."""

    examples: int
    batch_size: int
    epochs: float

    @property
    def steps_per_epoch(self) -> float:
        return self.examples / self.batch_size

    @property
    def total_steps(self) -> int:
        return self.step_at(self.epochs)

    def step_at(self, epoch: float) -> int:
        """The first step count by which `epoch` epochs of examples have been seen."""
        examples = round(epoch * self.examples)
        return -(-examples // self.batch_size)

    def epoch_of(self, step: int) -> int:
        """The epoch whose order holds the first example of batch number `step`."""
        return step * self.batch_size // self.examples

    def epochs_seen(self, step: int) -> float:
        return step * self.batch_size / self.examples

    def is_time(self, step: int, every_epochs: float) -> bool:
        """Whether `step` is the first at or past a multiple of `every_epochs`, or the last."""
        if step == self.total_steps:
            return True
        if every_epochs <= 0:
            return False
        period = every_epochs * self.examples
        before, after = (step - 1) * self.batch_size, step * self.batch_size
        # Small slack: 0.1 * 1000 examples is a hair over 100 in floating point.
        return int(after / period + 1e-9) > int(before / period + 1e-9)
