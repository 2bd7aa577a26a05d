"""SIGTERM and Ctrl-C as a question that the loop asks between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import jax
from jax.experimental import multihost_utils


class Interrupted(Exception):
    """The run was asked to stop, has saved, and can go on; exit status 128 + the signal."""

    def __init__(self, signum: int, step: int):
        super().__init__(f"{signal.Signals(signum).name} at step {step}")
        self.signum, self.step = signum, step


def raise_interrupt() -> None:
    raise KeyboardInterrupt


_second_interrupt: Callable[[], None] = raise_interrupt


def on_second_interrupt(action: Callable[[], None]) -> None:
    """What a second Ctrl-C does in this process; at first it raises `KeyboardInterrupt`.

    A command had better end the process: an exception from a signal may come in the middle of
    Orbax, whose threads then wait forever for what never comes.
    """
    global _second_interrupt
    _second_interrupt = action


class Interruption:
    """While active, the first SIGTERM or SIGINT is remembered instead of ending the process.

    A second Ctrl-C ends it at once; a second SIGTERM changes nothing. Of several processes, one
    that gets a SIGTERM stops all, at the same step: jax watches for it there.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        alone = jax.process_count() == 1
        if alone and threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT):
                self._previous[signum] = signal.signal(signum, self._remember)
        return self

    def requested(self, step: int) -> int | None:
        """The signal that asks to stop after `step`; to be called after every step."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            return signal.SIGTERM
        return self.signum

    def _remember(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            _second_interrupt()
        self.signum = self.signum or signum

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)
