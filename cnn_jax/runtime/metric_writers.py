"""What a run leaves to read: rows in metrics.jsonl, TensorBoard events, lines and a progress bar.

`metrics.jsonl` holds only what is the same in every run of the same config: an interrupted and an
uninterrupted run leave the same bytes. Speed goes to the terminal and to TensorBoard.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import jax

from cnn_jax.errors import not_written, printable
from cnn_jax.runtime.regular_files import regular

RECENT_SECONDS = 30.0  # over which the speed is shown
SKIPPED = ("step", "epoch", "split", "protocol")


class Writers:
    """All outputs of one run; only process 0 writes.

    `resume_at` is the size in bytes that metrics.jsonl had at the checkpoint, and `step` its step:
    rows and events after it are written again. A `quiet` run has no lines and no bar.
    """

    def __init__(
        self,
        workdir: Path,
        total_steps: int,
        step: int = 0,
        resume_at: int = 0,
        quiet: bool = False,
    ):
        self.active = jax.process_index() == 0
        self.console = Console(total_steps, step) if self.active and not quiet else None
        if not self.active:
            return
        self.path = workdir / "metrics.jsonl"
        self.path.touch()
        if (size := self.path.stat().st_size) < resume_at:
            self.say(f"warning: {self.path} has lost its rows after byte {size} of {resume_at}")
        self._rows = open(self.path, "r+b", 0, opener=regular)  # noqa: SIM115 - as long as the run
        self._rows.truncate(min(resume_at, size))
        self._rows.seek(0, os.SEEK_END)
        self._events = Events(workdir / "tensorboard", step)

    def go_back(self, step: int, rows_bytes: int) -> None:
        """Takes back what was written after `step`, when there were `rows_bytes` of rows."""
        if self.active:
            self._rows.truncate(rows_bytes)
            self._rows.seek(0, os.SEEK_END)
            self._events.hide_after(step)

    def sync(self) -> int:
        """Puts all rows on the disk for good, and returns how many bytes they have."""
        if not self.active:
            return 0
        os.fsync(self._rows.fileno())
        return self._rows.tell()

    def row(self, values: dict[str, Any]) -> None:
        """One row of numbers; keys like "train/loss" become TensorBoard tags."""
        if not self.active:
            return
        append(self._rows, json.dumps(values).encode() + b"\n")
        self.scalars(values["step"], {k: v for k, v in values.items() if k not in SKIPPED})

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Numbers for TensorBoard alone: speeds, which differ from run to run."""
        if self.active:
            self._events.scalars(step, values)

    def say(self, line: str) -> None:
        if self.console:
            self.console.say(line)

    def progress(self, epoch: float) -> contextlib.AbstractContextManager:
        """Inside, a terminal shows a progress bar."""
        return self.console.progress(epoch) if self.console else contextlib.nullcontext()

    def close(self) -> None:
        if self.active:
            self._rows.close()
            self._events.close()


class Events:
    """TensorBoard's event file: each row is on its way to the disk when `scalars` returns.

    (tensorboardX's own writer hands events to a thread; where that cannot write, it ends, and the
    run waits for ever at a full queue.)
    """

    def __init__(self, folder: Path, step: int):
        folder.mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._file = open(folder / name, "ab", buffering=0)  # noqa: SIM115 - as long as the run
        self._write(file_version="brain.Event:2")
        if step:  # what an earlier process wrote after this step is written again
            self.hide_after(step)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        entries = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=entries))

    def hide_after(self, step: int) -> None:
        """Events after `step` that are there are not shown."""
        from tensorboardX.proto.event_pb2 import SessionLog

        self._write(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **fields: Any) -> None:
        """One record: its length, the check sum of that, the event, the check sum of that."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        event = Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(event))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, event)]
        append(self._file, length + sums[0] + event + sums[1])

    def close(self) -> None:
        self._file.close()


def append(file: io.FileIO, data: bytes) -> None:
    """Writes all of `data`, or raises `UserError`: a full disk cuts the first write short."""
    try:
        while data:
            data = data[file.write(data) :]
    except OSError as error:
        raise not_written("the log", Path(file.name), error) from error


class Console:
    """Plain lines, and on a terminal a progress bar below them while steps are made.

    The speed is that of the last half minute, and of this process: a resumed run is not flattered.
    """

    def __init__(self, total_steps: int, step: int, out: TextIO | None = None):
        self.out = out or sys.stdout
        self.total, self.step = total_steps, step
        self.marks = deque([(time.monotonic(), step)])  # (when, steps done), one a second
        self.bar: Any = None

    @contextlib.contextmanager
    def progress(self, epoch: float) -> Iterator[None]:
        """Shows the bar inside, where there is a terminal and something to do."""
        if not self.out.isatty() or self.step >= self.total:
            yield
            return
        from rich.console import Console as Terminal
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]:.1f}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=Terminal(file=self.out),
            refresh_per_second=4,
            expand=True,
        )
        fields = {"epoch": epoch, "figures": "compiling"}
        self.task = self.bar.add_task("", total=self.total, completed=self.step, **fields)
        try:
            with self.bar:
                yield
        finally:
            self.bar = None

    def advance(self, step: int, epoch: float) -> None:
        """Moves the bar; costs nothing off a terminal."""
        self.step = step
        now = time.monotonic()
        if now - self.marks[-1][0] >= 1:
            self.marks.append((now, step))
            while len(self.marks) > 2 and now - self.marks[1][0] >= RECENT_SECONDS:
                self.marks.popleft()
        if self.bar is not None:
            self.bar.update(self.task, completed=step, epoch=epoch)

    def figures(self, text: str) -> None:
        """What stands beside the bar."""
        if self.bar is not None:
            self.bar.update(self.task, figures=text)

    def say(self, line: str) -> None:
        line = "\n".join(map(printable, line.split("\n")))
        if self.bar is not None:
            self.bar.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=self.out, flush=True)

    def steps_per_second(self) -> float:
        """Since the mark that is half a minute old, or the first one."""
        begun, first = self.marks[0]
        return (self.step - first) / max(time.monotonic() - begun, 1e-9)

    def restart_clock(self) -> None:
        """Speed is counted from here: after the compilation."""
        self.marks = deque([(time.monotonic(), self.step)])
        self.figures("")
