"""One run of many steps: what it holds must not grow with its age.

    python -m tests.faults.soak --steps=10000 [--config=lenet5:digits]

Every 250 steps it notes its memory, open files, threads and programs compiled. After its youth, a
tenth of it, in which caches fill, the memory's slope (least squares) may be 1 MB a thousand steps,
and there may be no more of the others than there were.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
from pathlib import Path

import jax
import numpy as np

from cnn_jax import train
from cnn_jax.cli import read_config
from cnn_jax.runtime.garbage import search_seldom
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.training.experiment import make_experiment
from tests.faults import memory

EVERY = 250  # steps
YOUNG = 500  # steps, at the least
SLOPE = 1.0  # MB a thousand steps
COMPILED = "/jax/core/compile/backend_compile_duration"
Row = tuple[int, float, int, int, int]  # step, MB, open files, threads, programs


class Soak:
    """A run whose age is noted as it goes."""

    def __init__(self, words: list[str], steps: int):
        config = read_config(words)
        config.devices, config.log_every_steps = 1, 100
        config.early_stopping_patience = 0
        self.programs, self.rows = 0, list[Row]()
        jax.monitoring.register_event_duration_secs_listener(self.count)
        self.experiment = make_experiment(config)
        a_epoch = self.experiment.clock.total_steps / config.epochs
        config.epochs = steps / a_epoch
        config.eval_every_epochs = max(1.0, steps / a_epoch / 100)
        config.checkpoint.every_steps = max(50, steps // 50)
        self.experiment = make_experiment(config)

    def count(self, event: str, seconds: float, **_: object) -> None:
        self.programs += event == COMPILED

    def run(self, folder: Path) -> list[Row]:
        training = train.Training(self.experiment, folder, quiet=True)
        due = 0
        with contextlib.closing(training):
            for step in training:
                if step >= due:
                    due += EVERY
                    training.checkpoints.wait()  # whose threads come and go
                    self.rows.append(self.row(step))
        return self.rows

    def row(self, step: int) -> Row:
        files = len(os.listdir("/proc/self/fd"))
        return step, memory.megabytes("VmRSS"), files, threads(), self.programs


def threads() -> int:
    """Without those of tensorstore's pool, which fills slowly: five at first, seven at the end."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            count += (task / "comm").read_text() != "ts_pool_worker\n"
    return count


def check(rows: list[Row], limit: float = SLOPE) -> str:
    """The figures in words; raises `AssertionError` for what grows."""
    old = np.array([row for row in rows if row[0] >= max(YOUNG, rows[-1][0] / 10)], float)
    slope = np.polyfit(old[:, 0] / 1000, old[:, 1], 1)[0]
    if slope > limit:
        raise AssertionError(f"memory grows by {slope:.2f} MB a thousand steps: {rows}")
    third = max(1, len(old) // 3)
    for column, name in ((2, "open files"), (3, "threads"), (4, "programs")):
        first, last = old[:third, column].max(), old[-third:, column].max()
        if last > first:
            raise AssertionError(f"{name} grow from {first:.0f} to {last:.0f}: {rows}")
    last = rows[-1]
    return (
        f"{last[0]} steps: {slope:+.2f} MB a thousand steps, {last[1]:.0f} MB at the end; "
        f"{last[2]} open files, {last[3]} threads, {last[4]} programs compiled, none new"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--config", default="lenet5:digits")
    parser.add_argument("--slope", type=float, default=SLOPE)
    options = parser.parse_args()
    retain_freed_memory()  # as the command does
    search_seldom()
    with tempfile.TemporaryDirectory() as folder:
        rows = Soak([f"--config={options.config}"], options.steps).run(Path(folder))
    for row in rows[:: max(1, len(rows) // 20)]:
        print("step {:6} {:7.1f} MB {:3} files {:3} threads {:3} programs".format(*row))
    print(check(rows, options.slope), f"({threading.active_count()} threads of Python's)")


if __name__ == "__main__":
    main()
