"""What a run does about a step that is not finite: `config.on_nan`, on the host.

The step is made again from the very state before it. What is finite then was a passing fault, and
the run goes on with the bits of one without it. What is not is a lasting one: it is examined, its
examples are named, and it is skipped or the run goes back.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.models.variables import flatten
from cnn_jax.runtime.regular_files import regular
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.metrics import NEVER
from cnn_jax.training.nonfinite import make_examination, released, without_update
from cnn_jax.training.step_loop import StepLoop
from cnn_jax.training.train_step import TrainCarry

FILE = "faults.jsonl"
REPLAYS = 2  # of a step that was not finite
MOST_SKIPPED = 10  # steps in a row
MOST_RETURNS = 3  # to a checkpoint, without getting past the step
NAMED = 8  # examples in a line


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Of a lasting fault: what of which step is not finite, and the examples it comes from."""

    step: int
    what: str  # "the loss", "the gradient of conv1/kernel", "the statistic bn1/mean", "the update"
    ids: list[int]
    whole_batch: bool  # no example alone is to blame

    def __str__(self) -> str:
        named = ", ".join(map(str, self.ids[:NAMED])) + ", ..." * (len(self.ids) > NAMED)
        of = f"no example alone, ids of its {len(self.ids)}" if self.whole_batch else "example ids"
        return (
            f"step {self.step}: {self.what} is not finite, nor was it when the step was made again "
            f"{REPLAYS} times: a lasting fault ({of}: {named})"
        )


class Recovery:
    """Of one run; `say` takes lines for people, the verdicts are kept in faults.jsonl."""

    def __init__(self, experiment: Experiment, folder: Path, say: Callable[[str], None]):
        self.experiment, self.path, self.say = experiment, folder / FILE, say
        self.on_nan = experiment.step_spec.on_nan
        self.skipped: list[int] = []
        self.returned: list[int] = []  # the steps that ended in a return, until one is passed

    def settle(self, loop: StepLoop) -> Verdict | None:
        """Makes a held step of the loop again; None where all is finite then, or was.

        Otherwise the loop stands before the step, and is released.
        """
        if self.on_nan == "stop" or (bad := bad_step(loop.carry)) == NEVER:
            return None
        for attempt in range(1, REPLAYS + 1):
            loop.step, loop.carry = bad - 1, released(loop.carry)
            make_one_step(loop)
            if bad_step(loop.carry) == NEVER:
                self.say(
                    f"warning: step {bad} was not finite and is, made again (time {attempt}): a "
                    "passing fault, which leaves no trace in the run"
                )
                self.record({"step": bad, "fault": "passing", "replays": attempt})
                return None
        loop.step, loop.carry = bad - 1, released(loop.carry)
        verdict = self.examine(loop)
        self.record({"fault": "lasting", "on_nan": self.on_nan, **dataclasses.asdict(verdict)})
        return verdict

    def examine(self, loop: StepLoop) -> Verdict:
        """Of the next step of the loop."""
        compiled, devices = self.experiment.compiled, self.experiment.devices
        phase = self.experiment.step_spec.plan.phases[compiled.phase_at(loop.step)]
        size = self.experiment.config.batch_size
        program = make_examination(self.experiment.step_spec, phase, devices, size)
        found = jax.device_get(program(loop.carry.state, loop.loader.batch_at(loop.step)))
        what = "the update"
        for part, words in (("gradient", "the gradient of"), ("statistics", "the statistic")):
            bad = [path for path, fine in flatten(found[part]).items() if not fine]
            if bad:
                what = f"{words} {bad[0]}"
                break
        if not found["loss"].all():
            what = "the loss"
        alone, of_loss = ~found["alone"], ~found["loss"]
        suspects = alone if alone.any() else of_loss
        whole = suspects.all() or not suspects.any()
        ids = found["id"] if whole else found["id"][suspects]
        return Verdict(loop.step + 1, what, [int(i) for i in np.sort(ids)], bool(whole))

    def skip(self, loop: StepLoop, verdict: Verdict) -> None:
        """Goes past the step without an update; raises `UserError` after many in a row."""
        self.skipped.append(verdict.step)
        row = range(verdict.step - MOST_SKIPPED + 1, verdict.step + 1)
        if {*row} <= {*self.skipped}:
            raise UserError(
                f"{verdict}; on_nan='skip' has left out {MOST_SKIPPED} steps in a row: "
                "--config.on_nan=rollback lowers the rate"
            )
        self.say(f"warning: {verdict}; it is skipped")
        places = jax.tree.map(lambda leaf: leaf.sharding, loop.carry)
        loop.carry = jax.jit(without_update, out_shardings=places)(loop.carry)
        loop.step = verdict.step

    def check_return(self, verdict: Verdict, rate: float) -> None:
        """Raises `UserError` where the run went back `MOST_RETURNS` times and is not past it."""
        if self.returned and verdict.step > max(self.returned):
            self.returned.clear()
        if len(self.returned) >= MOST_RETURNS:
            raise UserError(
                f"{verdict}; on_nan='rollback' went back {MOST_RETURNS} times, to a rate of "
                f"{rate:g}: leave those examples out, or go past it with --config.on_nan=skip"
            )
        self.returned.append(verdict.step)

    def record(self, row: dict[str, Any]) -> None:
        if jax.process_index() == 0:
            with open(self.path, "a", opener=regular) as stream:
                stream.write(json.dumps(row) + "\n")


def with_rate(experiment: Experiment, carry: TrainCarry, factor: float) -> TrainCarry:
    """The carry whose updates are made at `factor` times the rate."""
    if carry.state.rate_factor is None and experiment.step_spec.on_nan == "rollback":
        carry = carry._replace(state=carry.state.replace(rate_factor=jnp.float32(1)))
    if carry.state.rate_factor is None:
        if factor != 1:
            raise UserError(
                f"on_nan={experiment.step_spec.on_nan!r}: this run went back to {factor:g} of its "
                "rate: go on with --config.on_nan=rollback"
            )
        return carry
    placed = experiment.devices.replicate(np.float32(factor))
    return carry._replace(state=carry.state.replace(rate_factor=placed))


def bad_step(carry: TrainCarry) -> int:
    """The first step of a window that was not finite, or `NEVER`."""
    metrics: Any = carry.metrics
    return int(metrics.first_bad_step.value)


def make_one_step(loop: StepLoop) -> None:
    last, loop.last_step = loop.last_step, loop.step + 1
    next(loop)
    loop.wait()
    loop.last_step = last


def diverged(what: str, at: str, rate: float, saved: list[int]) -> UserError:
    """The end of a run in which `what` is not finite; these steps of it were saved."""
    good = f"the checkpoint of step {saved[-1]} is kept" if saved else "no checkpoint was made"
    return UserError(
        f"{what} is not finite at {at}; {good}; try --config.on_nan=rollback, or a lower "
        f"optimizer.learning_rate (now {rate:g}) or clip_norm"
        + (" in another --workdir" if saved else "")  # this one holds a run of this config
    )


def not_finite(experiment: Experiment, carry: TrainCarry, whole: bool) -> tuple[str, int] | None:
    """(what, at which step) is not finite first; the state is looked at only if `whole`."""
    if (bad := bad_step(carry)) != NEVER:
        return "loss or gradient", bad
    if not whole:
        return None
    finite = jax.device_get(experiment.compiled.finite(carry.state))
    if finite.all():
        return None
    leaves = jax.tree_util.tree_leaves_with_path(carry.state.numbers)
    name = jax.tree_util.keystr(leaves[finite.argmin()][0], simple=True, separator="/")
    return name, int(carry.state.step)
