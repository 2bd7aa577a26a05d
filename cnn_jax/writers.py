"""What a run leaves to read: rows in metrics.jsonl, TensorBoard events, lines and a progress bar.

`metrics.jsonl` holds only what is the same in every run of the same config: an interrupted and an
uninterrupted run leave the same bytes. Speed goes to the terminal and to TensorBoard.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import jax

SKIPPED = ("step", "epoch", "split")


class Writers:
    """All outputs of one run; only process 0 writes.

    `resume_at` is the size in bytes that metrics.jsonl had at the checkpoint, and `step` its step:
    rows and events after it are written again.
    """

    def __init__(self, workdir: Path, total_steps: int, step: int = 0, resume_at: int = 0):
        self.active = jax.process_index() == 0
        self.console = Console(total_steps, step) if self.active else None
        if not self.active:
            return
        from tensorboardX import SummaryWriter

        path = workdir / "metrics.jsonl"
        path.touch()
        self._rows = open(path, "r+b")  # noqa: SIM115 - open as long as the run
        self._rows.truncate(min(resume_at, path.stat().st_size))
        self._rows.seek(0, 2)
        self._events = SummaryWriter(
            str(workdir / "tensorboard"), purge_step=step + 1 if step else None
        )

    @property
    def size(self) -> int:
        """Bytes of metrics.jsonl so far."""
        return self._rows.tell() if self.active else 0

    def row(self, values: dict[str, Any]) -> None:
        """One row of numbers; keys like "train/loss" become TensorBoard tags."""
        if not self.active:
            return
        self._rows.write(json.dumps(values).encode() + b"\n")
        self._rows.flush()
        self.scalars(values["step"], {k: v for k, v in values.items() if k not in SKIPPED})

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Numbers for TensorBoard alone: speeds, which differ from run to run."""
        if self.active:
            for name, value in values.items():
                self._events.add_scalar(name, value, step)

    def say(self, line: str) -> None:
        if self.active:
            self.console.say(line)

    def close(self) -> None:
        if self.active:
            self.console.close()
            self._rows.close()
            self._events.close()


class Console:
    """A progress bar on a terminal, plain lines otherwise.

    The speed is that of this process since its first step, so that a resumed run is not flattered.
    """

    def __init__(self, total_steps: int, step: int, out: TextIO | None = None):
        out = out or sys.stdout
        self.total, self.step, self.first, self.out = total_steps, step, step, out
        self.started = time.monotonic()
        self._bar = None
        if out.isatty() and total_steps > 0:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]:.1f}"),
                BarColumn(bar_width=None),
                TextColumn("{task.completed}/{task.total} steps"),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True),
                refresh_per_second=4,
                expand=True,
            )
            self._task = self._bar.add_task(
                "", total=total_steps, completed=step, epoch=0.0, figures=""
            )
            self._bar.start()

    def advance(self, step: int, epoch: float) -> None:
        """Moves the bar; costs nothing off a terminal."""
        self.step = step
        if self._bar is not None:
            self._bar.update(self._task, completed=step, epoch=epoch)

    def figures(self, text: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, figures=text)

    def say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, file=self.out, flush=True)

    def steps_per_second(self) -> float:
        return (self.step - self.first) / max(time.monotonic() - self.started, 1e-9)

    def restart_clock(self) -> None:
        """Speed is counted from here: after the compilation."""
        self.started, self.first = time.monotonic(), self.step

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
