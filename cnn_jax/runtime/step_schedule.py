"""What is to be done after which step, and how many steps may run before there is something."""

from __future__ import annotations

import dataclasses

from ml_collections import ConfigDict

from cnn_jax.runtime.clock import Clock


@dataclasses.dataclass(frozen=True)
class StepSchedule:
    """Of one run. Steps are counted from 1 here: step n is the n-th update."""

    clock: Clock
    eval_every_epochs: float
    log_every_steps: int  # 0: at evaluations only
    save_every_steps: int  # beside those at evaluations; 0: none
    phase_starts: tuple[int, ...]  # updates made before each phase of `transfer.freezing`
    flow_every_steps: int = 0  # 0: never

    @classmethod
    def of(cls, config: ConfigDict, clock: Clock, phase_starts: tuple[int, ...]) -> StepSchedule:
        every = config.eval_every_epochs, config.log_every_steps, config.checkpoint.every_steps
        return cls(clock, *every, phase_starts, config.get("log_flow", 0))

    def evaluates(self, step: int) -> bool:
        return self.clock.is_time(step, self.eval_every_epochs)

    def logs(self, step: int) -> bool:
        return self.evaluates(step) or is_multiple(step, self.log_every_steps)

    def logs_flow(self, step: int) -> bool:
        return is_multiple(step, self.flow_every_steps)

    def saves(self, step: int) -> bool:
        return self.evaluates(step) or is_multiple(step, self.save_every_steps)

    def is_event(self, step: int) -> bool:
        """Whether the host reads the state after `step`."""
        return self.logs(step) or self.saves(step) or self.logs_flow(step)

    def steps_until_event(self, done: int, most: int) -> int:
        """How many steps may run in one go after `done` updates: 1 to `most`.

        They end where the host has something to do, where another program goes on, and where the
        order of an epoch ends.
        """
        last, epoch = done + 1, self.clock.epoch_of(done)
        while last < done + most and not self._ends(last, epoch):
            last += 1
        return last - done

    def _ends(self, step: int, epoch: int) -> bool:
        other = step in self.phase_starts or self.clock.epoch_of(step) != epoch
        return other or self.is_event(step)


def is_multiple(step: int, of: int) -> bool:
    return of > 0 and step % of == 0
