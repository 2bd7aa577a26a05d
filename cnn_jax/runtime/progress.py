"""How far a long task is and how long it still takes, on stderr; stdout stays as it is.

On a terminal a bar that goes away in the end; elsewhere a line now and then, and none for what is
done sooner. Bars may lie within each other.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, ClassVar, Self, TypeVar

LINE_SECONDS = 30.0  # between lines where no line can be rewritten
Item = TypeVar("Item")


class ProgressBar:
    """`completed` of `total`, in whatever unit: items, seconds, bytes (`is_bytes`).

    Used in a `with`; the bar of an unknown total (None) shows the time that has passed.
    """

    display: ClassVar[Any] = None  # rich's, of all bars that are open on a terminal
    open_bars: ClassVar[int] = 0
    hidden: ClassVar[bool] = False

    def __init__(self, description: str, total: float | None = None, is_bytes: bool = False):
        self.description, self.total, self.is_bytes = description, total, is_bytes
        self.completed = 0.0
        self.task: Any = None  # of the display

    def __enter__(self) -> Self:
        self.begun = self.last_line = time.monotonic()
        self.is_hidden = ProgressBar.hidden
        if sys.stderr.isatty() and not self.is_hidden:
            cls = ProgressBar
            if not cls.open_bars:
                cls.display = make_display(self.is_bytes)
                cls.display.start()
            cls.open_bars += 1
            self.task = cls.display.add_task(self.description, total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        if self.task is not None:
            cls = ProgressBar
            cls.display.remove_task(self.task)
            cls.open_bars -= 1
            if not cls.open_bars:
                cls.display.stop()
                cls.display = None

    def advance(self, amount: float = 1, description: str | None = None) -> None:
        """So much more is done."""
        self.reach(self.completed + amount, description)

    def reach(self, completed: float, description: str | None = None) -> None:
        """So much is done by now."""
        self.completed, self.description = completed, description or self.description
        if self.task is not None:
            ProgressBar.display.update(
                self.task, completed=completed, total=self.total, description=self.description
            )
        elif self.is_hidden:
            return
        elif (now := time.monotonic()) - self.last_line >= LINE_SECONDS:
            self.last_line = now
            print(self.line(now - self.begun), file=sys.stderr, flush=True)

    def describe(self, description: str) -> None:
        """What is worked on now."""
        self.reach(self.completed, description)

    @property
    def elapsed(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.begun

    def line(self, seconds: float) -> str:
        """The state in words, `seconds` after the beginning."""
        if not self.total:
            return f"{self.description}: {clock_time(seconds)}"
        share = min(1.0, self.completed / self.total)
        left = f", {clock_time(seconds * (1 - share) / share)} left" if share else ""
        return f"{self.description}: {share:.0%}, {clock_time(seconds)} passed{left}"


class DownloadBar(ProgressBar):
    """The bar of a download, with the methods by which pooch speaks to one."""

    def __init__(self, description: str):
        super().__init__(description, is_bytes=True)

    def update(self, size: int) -> None:
        self.advance(size)

    def reset(self) -> None:
        self.completed = 0.0

    def close(self) -> None:
        """Nothing: the `with` closes it, also where the download fails."""


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Bars that are opened inside are not shown, nor lines of them."""
    before, ProgressBar.hidden = ProgressBar.hidden, True
    try:
        yield
    finally:
        ProgressBar.hidden = before


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar that counts those that were worked on."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with ProgressBar(description, total) as bar:
        for item in items:
            yield item
            bar.advance()


def clock_time(seconds: float) -> str:
    """3725 -> "1:02:05"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def make_display(is_bytes: bool) -> Any:
    """Lines of description, bar, how far, time passed and time left, on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn() if is_bytes else TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("passed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
        # What is printed meanwhile goes above the bar, but only where both are on the terminal.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=False,
    )
