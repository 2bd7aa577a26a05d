"""Worker processes, of claims and of streams, end with the process that started them."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as starter:
        workers = [int(pid) for pid in starter.stdout.readline().split()]
        assert workers
        assert all(map(runs, workers))
        starter.kill()
    end = time.monotonic() + 10
    while any(map(runs, workers)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in workers if runs(pid)]
