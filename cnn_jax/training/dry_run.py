"""A run in small: does everything once, and says what the whole of it will cost."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import jax
from ml_collections import ConfigDict

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training import metrics
from cnn_jax.training.experiment import make_run


def dry_run(config: ConfigDict) -> dict[str, Any]:
    """Two steps, a save, a restore and an evaluation, and what the whole run will cost."""
    started = time.monotonic()
    run = make_run(config)
    with tempfile.TemporaryDirectory(prefix="cnn_jax_dry_run_") as scratch:
        carry = run.steps.init()
        feed, seconds = run.feed(), []
        for step in range(2):
            start = time.monotonic()
            source = feed.batch_at(step)
            # The program of the end: where stages are unfrozen later, it costs most.
            carry, done = run.steps.train(carry, source, run.clock.total_steps)
            done.block_until_ready()
            seconds.append(time.monotonic() - start)
        if int(carry[1].first_bad_step.value) != metrics.NEVER:
            raise UserError("loss or gradient is not finite in the first two steps")
        checkpoints = Checkpoints(scratch)
        checkpoints.save(2, carry, {}, best=2)
        checkpoints.wait()
        size = sum(f.stat().st_size for f in checkpoints.path(2).rglob("*") if f.is_file())
        again = checkpoints.restore(checkpoints.newest_whole(), run.steps.abstract).tree
        checkpoints.close()
        same = jax.tree.map(lambda a, b: bool((a == b).all()), carry[0], again[0])
        if not all(jax.tree.leaves(same)):
            raise RuntimeError("a restored checkpoint differs from what was saved")
        evaluator = run.evaluator(run.monitor)
        evaluator(carry[0])
        start = time.monotonic()
        evaluator(carry[0])
        evaluation = time.monotonic() - start
    evaluations = -(-config.epochs // config.eval_every_epochs)
    total = seconds[0] + run.clock.total_steps * seconds[1] + evaluations * evaluation
    parameters = sum(leaf.size for leaf in jax.tree.leaves(carry[0].variables["params"]))
    found = {
        "parameters": parameters,
        "steps": run.clock.total_steps,
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
        f"{run.clock.total_steps:,} steps of {seconds[1] * 1e3:.1f} ms "
        f"({config.batch_size / seconds[1]:,.0f} images/s), evaluation {evaluation:.2f} s\n"
        f"the run will take about {duration(total)} on {run.devices.count} "
        f"{jax.default_backend()} device(s)"
    )
    return found


def duration(seconds: float) -> str:
    """ "45 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
