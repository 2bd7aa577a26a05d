"""The end of a process: it waits for no thread of a failed save, and outlives no parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def orphaned_saves() -> list[threading.Thread]:
    """Orbax's threads that still wait, for five minutes, for what a failed save never made."""
    return [
        thread
        for thread in threading.enumerate()
        if type(thread).__module__.startswith("orbax.") and not thread.daemon
    ]


def exit_process(status: int) -> NoReturn:
    """Ends the process as `sys.exit` does, or at once where an orphan would hold it up."""
    if status and orphaned_saves():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # whose reader has left
                stream.flush()
        os._exit(status)
    sys.exit(status)


def end_with_parent(*_: int) -> None:
    """Ends this process, a worker, as by a kill as soon as the one that started it is gone.

    Left alone it would keep its memory, or hold its run's workdir against the next start.
    """
    if parent := multiprocessing.parent_process():
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True).start()


def _end_after(wait: Callable[[], None]) -> None:
    wait()
    os._exit(1)
