"""The updates of a run, one call to the device after another: for whoever trains."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

import jax

from cnn_jax.data.loading.loaders import Loader
from cnn_jax.runtime.malloc import give_freed_memory_back
from cnn_jax.runtime.sharding import InFlight
from cnn_jax.training.train_step import TrainCarry

if TYPE_CHECKING:
    from cnn_jax.training.experiment import Experiment


class StepLoop:
    """Iterates over the updates of an experiment:

        with experiment.step_loop() as steps:
            for step in steps:      # `step` updates are done
                steps.carry         # what became of state and metrics; may be replaced

    It begins after `step` updates of `carry`, by default with fresh ones, and ends after
    `last_step`. The batches are in the order of `seed`, by default the run's.
    With `last_phase`, all is trained that is at the end of the run. A `loader` takes the place of
    the run's own.
    """

    def __init__(
        self,
        experiment: Experiment,
        carry: TrainCarry | None = None,
        step: int = 0,
        last_step: int | None = None,
        seed: int | None = None,
        last_phase: bool = False,
        loader: Loader | None = None,
    ):
        self.experiment, self.step, self.last_phase = experiment, step, last_phase
        self.drawing: concurrent.futures.Future[TrainCarry] | None = None
        if carry is None:
            self.draw()
        else:
            self.carry = carry
        self.last_step = experiment.clock.total_steps if last_step is None else last_step
        self.loader = experiment.train_loader(seed) if loader is None else loader
        self.in_flight = InFlight(experiment.devices.max_in_flight)
        self.compiled: set[tuple[Any, int]] = set()

    def draw(self) -> None:
        """Starts to make fresh state and metrics, beside what comes before the first step.

        Several processes take one step after another: what they run must have one order.
        """
        if jax.process_count() > 1:
            self.carry = self.experiment.compiled.init()
            return
        threads = concurrent.futures.ThreadPoolExecutor(1)
        self.drawing = threads.submit(self.experiment.compiled.init)
        threads.shutdown(wait=False)

    @property
    def carry(self) -> TrainCarry:
        """State and metrics after `step` updates."""
        if self.drawing is not None:
            self.carry = self.drawing.result()
        return self._carry

    @carry.setter
    def carry(self, carry: TrainCarry) -> None:
        self._carry, self.drawing = carry, None

    def __iter__(self) -> StepLoop:
        return self

    def __next__(self) -> int:
        """One more call, of as many updates as fit before the host has something to do."""
        experiment, step = self.experiment, self.step
        if step >= self.last_step:
            raise StopIteration
        limit = min(experiment.steps_per_dispatch, self.last_step - step)
        num_steps = experiment.step_schedule.steps_until_event(step, limit)
        phase_step = experiment.clock.total_steps if self.last_phase else step
        train_steps = experiment.compiled.train_steps(phase_step)
        batches = self.loader.batch_at(step)
        if (train_steps, num_steps) not in self.compiled:
            train_steps.lower(experiment.compiled.abstract, batches, num_steps).compile()
            # The memory of the compiler, and of the drawing once it is done, goes back before the
            # step's is taken: it would lie beside it.
            jax.block_until_ready(self.carry)
            give_freed_memory_back()
            self.compiled.add((train_steps, num_steps))
        self.carry, done = train_steps(self.carry, batches, num_steps)
        self.step += num_steps
        self.in_flight.add(done)
        return self.step

    def wait(self) -> None:
        """Returns when all updates are done."""
        self.in_flight.wait()

    def __enter__(self) -> StepLoop:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what reads ahead."""
        self.loader.close()
