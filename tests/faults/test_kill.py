"""A run that is stopped at any moment and started again ends with the same bits."""

import functools
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.kill_many import DEVICES, Killer, unfinished
from tests.support import commands

SIGNALS = {"jit": signal.SIGTERM, "pmap": signal.SIGINT}


@pytest.fixture(scope="module")
def killer_of(tmp_path_factory):
    """The killer of jit runs or of pmap runs on 8 devices, with its uninterrupted run."""
    return functools.cache(lambda parallel: Killer(parallel, tmp_path_factory.mktemp(parallel)))


@pytest.mark.parametrize("parallel", ["jit", pytest.param("pmap", marks=pytest.mark.slow)])
def test_killed_and_stopped_runs_end_with_the_same_bits(killer_of, parallel):
    """A run is stopped by a signal, then killed, then goes on to its end."""
    killer = killer_of(parallel)
    found = killer.run(kills=1, signum=SIGNALS[parallel])
    assert found == killer.wanted
    assert found["checkpoints"] == ["00000040", "00000041"]
    assert unfinished(killer.folder / "killed") == []
    assert not list((killer.folder / "killed").glob("*.tmp"))


@pytest.mark.slow
def test_the_comparison_is_not_blind(killer_of):
    """The modes differ in dropout and in BatchNorm."""
    jit, pmap = killer_of("jit").wanted, killer_of("pmap").wanted
    assert jit["state"] != pmap["state"]
    assert jit["rows"] != pmap["rows"]


@pytest.mark.slow
@pytest.mark.parametrize(("parallel", "kills"), [("jit", 14), ("pmap", 7)])
def test_many_kills(killer_of, parallel, kills):
    killer = killer_of(parallel)
    killer.seen.clear()
    while killer.seen["kills"] < kills:
        assert killer.run(kills=7) == killer.wanted
    assert killer.seen["inside a save"] >= kills // 7


@pytest.mark.slow
@pytest.mark.parametrize("parallel", DEVICES)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_every_signal(killer_of, parallel, signum):
    killer = killer_of(parallel)
    assert killer.run(kills=0, signum=signum) == killer.wanted


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
