"""A claim's worker ends with the process that started it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

STARTER = """
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


def runs(pid: int) -> bool:
    """Whether the process is there and is not a zombie, which some containers never bury."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    script = tmp_path / "starter.py"
    script.write_text(STARTER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as starter:
        worker = int(starter.stdout.readline())
        assert runs(worker)
        starter.kill()
    end = time.monotonic() + 10
    while runs(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not runs(worker)
