"""Trains the net of a config on its dataset, or evaluates what was trained.

    cnn_jax train --config=lenet5 --workdir=runs/lenet5
    cnn_jax train --config=lenet5:mnist --config.batch_size=32 --config.optimizer.name=sgd
    cnn_jax train --config=resnet18:folder:PHOTOS --config.data.image_size=64 --dry_run
    cnn_jax train --config=googlenet:published:folder:PHOTOS          (its paper's recipe)
    cnn_jax train --workdir=runs/lenet5 --config.epochs=20 --extend     (more epochs)
    cnn_jax evaluate --workdir=runs/lenet5             (the run's own config)
    cnn_jax evaluate --workdir=runs/lenet5 --config.data.name=folder:OTHER
    cnn_jax evaluate --workdir=runs/lenet5 --checkpoint=newest    (or a step; else the best)
    python -m cnn_jax.main --config=configs/lenet5.py --mode=evaluate        (the same)

Ctrl-C or SIGTERM saves and prints the command that goes on; so does the same command given again.
A wrong key is answered with the nearest right ones; configs/base.py has all, with their defaults.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from cnn_jax import cli
from cnn_jax.runtime.config_files import config_of_run
from cnn_jax.runtime.distributed import join_processes, leave_processes, naming_peers

CONFIG = cli.define_config()
WORKDIR = flags.DEFINE_string("workdir", None, "Folder; default: runs/CONFIG-DATASET-HASH.")
MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "What to do in the workdir.")
CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "Evaluated: best, newest, or a step.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Two steps, a save, a restore, an evaluation.")
EXTEND = flags.DEFINE_bool("extend", False, "A run goes on to more epochs: --config.epochs=N.")
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "One of several processes (jax.distributed).")


def main(argv: Sequence[str]) -> int | None:
    del argv
    config = CONFIG.value
    if config is None and MODE.value == "evaluate" and WORKDIR.value:
        config = config_of_run(Path(WORKDIR.value))  # none is there: it says so
    if config is None:
        raise cli.UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    if DISTRIBUTED.value:
        join_processes()
    with naming_peers() if DISTRIBUTED.value else contextlib.nullcontext():
        status = run(config, WORKDIR.value or default_workdir(config))
    if DISTRIBUTED.value:
        leave_processes()
    return status


def default_workdir(config: ConfigDict) -> str:
    from cnn_jax.runtime.workdir import default_folder
    from cnn_jax.training import optimizers

    completed = config.copy_and_resolve_references()
    optimizers.complete(completed)  # as a run has it
    return default_folder(completed)


def run(config: ConfigDict, workdir: str) -> int | None:
    """Trains or evaluates; the exit status."""
    from cnn_jax import train
    from cnn_jax.runtime.preemption import Interrupted, on_second_interrupt
    from cnn_jax.runtime.stores.mirror import opened_workdir
    from cnn_jax.training import dry_run, evaluation

    if CHECKPOINT.present and MODE.value != "evaluate":
        raise cli.UserError(
            f"--checkpoint={CHECKPOINT.value} goes with --mode=evaluate: training goes on from the "
            "newest checkpoint"
        )
    if DRY_RUN.value:
        dry_run.dry_run(config)
        return None
    if MODE.value == "evaluate":
        with opened_workdir(workdir) as (folder, _):
            evaluation.evaluate_only(config, str(folder), CHECKPOINT.value)
        return None

    def stop_at_once() -> None:
        line = f"stopped at once: go on from the last checkpoint: {cli.same_command(workdir)}\n"
        os.write(sys.stdout.fileno(), line.encode(errors="backslashreplace"))
        os._exit(128 + signal.SIGINT)

    on_second_interrupt(stop_at_once)
    try:
        train.train_and_evaluate(config, workdir, EXTEND.value)
    except Interrupted as stop:
        print(f"stopped by {stop}: saved, go on with: {cli.same_command(workdir)}")
        return 128 + stop.signum
    except KeyboardInterrupt:  # before the loop, or after it
        stop_at_once()
    return None


if __name__ == "__main__":
    cli.run(main)
