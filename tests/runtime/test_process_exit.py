"""A command ends by its status and waits for no thread that a failed save has left; a worker, of a
claim or of a stream, ends with the process that started it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cnn_jax.runtime import process_exit

ROOT = str(Path(__file__).parents[2])
CLAIMS = """
import os, time
from concurrent import futures
from multiprocessing import get_context

from experiments.runner import start_worker

if __name__ == "__main__":
    context = get_context("spawn")
    queue = context.SimpleQueue()
    queue.put(None)
    pool = futures.ProcessPoolExecutor(
        1, mp_context=context, initializer=start_worker, initargs=(queue,)
    )
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""
STREAM = """
import multiprocessing, time
import numpy as np

from cnn_jax.data.loading.stream import read_ahead

if __name__ == "__main__":
    batches = read_ahead(np.atleast_1d, 0, 1000, workers=2, threads=1)
    next(batches)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


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


def runs(pid: int) -> bool:
    """Whether the process is there and is not a zombie, which some containers never bury."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("program", [CLAIMS, STREAM], ids=["claims", "stream"])
def test_workers_end_with_the_process_that_started_them(tmp_path, program):
    script = tmp_path / "starter.py"
    script.write_text(program)
    starter = subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": ROOT},
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        workers = [int(pid) for pid in starter.stdout.readline().split()]
        assert workers
        assert all(map(runs, workers))
        starter.kill()
    end = time.monotonic() + 10
    while any(map(runs, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in workers if runs(pid)]
