"""A command ends by its status, and waits for no thread that a failed save has left."""

import threading

import pytest

from cnn_jax.runtime import process_exit


class Orphan(threading.Thread):
    """As Orbax's: it waits for what never comes."""

    __module__ = "orbax.checkpoint.futures"

    def __init__(self, daemon):
        super().__init__(daemon=daemon)
        self.comes = threading.Event()

    def run(self):
        self.comes.wait()


@pytest.mark.parametrize(
    ("status", "daemon", "at_once"), [(2, False, [2]), (0, False, []), (2, True, [])]
)
def test_orphans_hold_up_no_end_with_an_error(monkeypatch, status, daemon, at_once):
    """Python joins threads that are no daemons; a run that is well waits for its save."""
    ends = []
    monkeypatch.setattr(process_exit.os, "_exit", ends.append)
    orphan = Orphan(daemon)
    orphan.start()
    try:
        with pytest.raises(SystemExit) as end:
            process_exit.exit_process(status)
    finally:
        orphan.comes.set()
        orphan.join()
    assert (end.value.code, ends) == (status, at_once)
