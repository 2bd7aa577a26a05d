"""A run that is stopped at any moment and started again ends with the same bits."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import commands
from tests.kill_many import DEVICES, Killer, unfinished

SIGNALS = {"jit": signal.SIGTERM, "pmap": signal.SIGINT}


@pytest.fixture(scope="module")
def killers(tmp_path_factory):
    """A killer of jit runs and one of pmap runs on 8 devices, each with an uninterrupted run."""
    folders = [tmp_path_factory.mktemp(parallel) for parallel in DEVICES]
    with ThreadPoolExecutor() as pool:
        return dict(zip(DEVICES, pool.map(Killer, DEVICES, folders), strict=True))


def test_killed_and_stopped_runs_end_with_the_same_bits(killers):
    """Each run is stopped by a signal, then killed, then goes on to its end."""

    def run(parallel):
        return killers[parallel].run(kills=1, signum=SIGNALS[parallel])

    with ThreadPoolExecutor() as pool:
        found = dict(zip(killers, pool.map(run, killers), strict=True))
    for parallel, killer in killers.items():
        assert found[parallel] == killer.wanted
        assert found[parallel]["checkpoints"] == ["00000040", "00000041"]
        assert unfinished(killer.folder / "killed") == []
        assert not list((killer.folder / "killed").glob("*.tmp"))
    # The comparison is not blind: the modes differ in dropout and in BatchNorm.
    assert killers["jit"].wanted["state"] != killers["pmap"].wanted["state"]
    assert killers["jit"].wanted["rows"] != killers["pmap"].wanted["rows"]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", DEVICES)
def test_twenty_kills(killers, parallel):
    killer = killers[parallel]
    killer.seen.clear()
    while killer.seen["kills"] < 20:
        assert killer.run(kills=7) == killer.wanted
    assert killer.seen["inside a save"] >= 3


@pytest.mark.slow
@pytest.mark.parametrize("parallel", DEVICES)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_every_signal(killers, parallel, signum):
    assert killers[parallel].run(kills=0, signum=signum) == killers[parallel].wanted


@pytest.mark.slow
def test_process_without_the_server_of_these_tests(tmp_path):
    words = ["-m", "cnn_jax.main", f"--config={commands.CONFIG}", f"--workdir={tmp_path}"]
    process = subprocess.Popen([sys.executable, *words], cwd=commands.ROOT, stdout=-1, text=True)
    rows = tmp_path / "metrics.jsonl"
    while not (rows.exists() and rows.stat().st_size):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM at step" in out.splitlines()[-1]
