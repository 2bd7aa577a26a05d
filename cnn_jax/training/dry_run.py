"""A run in small: does everything once, and says what the whole of it will cost."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import jax
from ml_collections import ConfigDict

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training import metrics
from cnn_jax.training.experiment import Experiment, make_experiment
from cnn_jax.training.train_step import TrainCarry

PARTS = 6  # reading, two steps, saving, compiling an evaluation and making it: the bar's length


def dry_run(config: ConfigDict) -> dict[str, Any]:
    """Two steps, a save, a restore and an evaluation, and what the whole run will cost."""
    started = time.monotonic()
    with ProgressBar("reading the data", PARTS) as bar:
        experiment = make_experiment(config)
        bar.advance(description="compiling the step")
        seconds, carry = two_steps(experiment, bar)
        state = carry.state
        if int(carry.metrics.first_bad_step.value) != metrics.NEVER:
            raise UserError("loss or gradient is not finite in the first two steps")
        bar.describe("saving and restoring")
        size = save_and_restore(carry)
        bar.advance(description="compiling the evaluation")
        evaluator = experiment.evaluator(experiment.monitor)
        evaluator(state)
        bar.advance(description="evaluating")
        start = time.monotonic()
        evaluator(state)
        evaluation = time.monotonic() - start
    evaluations = -(-config.epochs // config.eval_every_epochs)
    total = seconds[0] + experiment.clock.total_steps * seconds[1] + evaluations * evaluation
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.variables["params"]))
    costs = {
        "parameters": parameters,
        "steps": experiment.clock.total_steps,
        "seconds_to_first_step": round(seconds[0], 2),
        "seconds_per_step": round(seconds[1], 5),
        "seconds_per_evaluation": round(evaluation, 3),
        "seconds_in_all": round(total),
        "checkpoint_megabytes": round(size / 1e6, 2),
    }
    print(
        f"dry run passed in {time.monotonic() - started:.1f} s: two steps, a save, a restore with "
        f"the same bits, an evaluation\n"
        f"{config.model.name}: {parameters:,} parameters, checkpoint {size / 1e6:.1f} MB\n"
        f"{experiment.clock.total_steps:,} steps of {seconds[1] * 1e3:.1f} ms "
        f"({config.batch_size / seconds[1]:,.0f} images/s), evaluation {evaluation:.2f} s\n"
        f"the run will take about {duration(total)} on {experiment.devices.count} "
        f"{jax.default_backend()} device(s)"
    )
    return costs


def two_steps(experiment: Experiment, bar: ProgressBar) -> tuple[list[float], TrainCarry]:
    """(seconds of each, what became of state and metrics); the first has the compilation."""
    seconds = []
    # With all that is trained at the end: where stages are unfrozen later, that costs most.
    with experiment.step_loop(last_phase=True) as steps:
        for steps.last_step in (1, 2):  # one step a call, and two even where the run has one
            start = time.monotonic()
            next(steps)
            steps.wait()
            seconds.append(time.monotonic() - start)
            bar.advance(description="a step")
    return seconds, steps.carry


def save_and_restore(carry: TrainCarry) -> int:
    """The bytes of a checkpoint; raises unless it gives back the same bits."""
    tree = carry.as_saved()
    with tempfile.TemporaryDirectory(prefix="cnn_jax_dry_run_") as scratch:
        checkpoints = Checkpoints(scratch)
        checkpoints.save(2, tree, {}, best=2)
        checkpoints.wait()
        size = sum(f.stat().st_size for f in checkpoints.path(2).rglob("*") if f.is_file())
        restored = checkpoints.restore(2, tree).tree
        checkpoints.close()
    same = jax.tree.map(lambda a, b: bool((a == b).all()), tree[0], restored[0])
    if not all(jax.tree.leaves(same)):
        raise RuntimeError("a restored checkpoint differs from what was saved")
    return size


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
