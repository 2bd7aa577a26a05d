"""Two processes with one device each are one process with two, to the bit."""

import re
import signal
import time

import pytest

from tests.faults.kill_many import finish, left_behind
from tests.support import commands

pytestmark = pytest.mark.slow


def start_two(parallel, workdir):
    return commands.together([f"--config={commands.CONFIG}:{parallel}", f"--workdir={workdir}"])


@pytest.fixture(scope="module", params=["jit", "pmap", "elastic"])
def alone(request, tmp_path_factory):
    """The mode, and what one process with two devices leaves."""
    workdir = tmp_path_factory.mktemp("alone")
    words = [f"--config={commands.CONFIG}:{request.param}", f"--workdir={workdir}"]
    finish(commands.start(*words, devices=2))
    return request.param, left_behind(workdir)


def test_two_processes_leave_the_same(alone, tmp_path):
    parallel, wanted = alone
    first, second = start_two(parallel, tmp_path)
    finish(first)
    finish(second)
    assert "test: 359 examples" in first.out
    assert "test: " not in second.out
    assert left_behind(tmp_path) == wanted


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_signal_to_one_stops_both_at_the_same_step(alone, tmp_path, stopped):
    parallel, wanted = alone
    both = start_two(parallel, tmp_path)
    while both[0].process.is_alive() and " steps of " not in both[0].out:
        time.sleep(0.001)
    both[stopped].send(signal.SIGTERM)
    assert [command.wait() for command in both] == [128 + signal.SIGTERM] * 2
    steps = [re.search(r"stopped by SIGTERM at step (\d+)", command.out)[1] for command in both]
    assert steps[0] == steps[1]
    both = start_two(parallel, tmp_path)
    for command in both:
        finish(command)
    assert f"going on from step {steps[0]} in" in both[0].out
    assert left_behind(tmp_path) == wanted


def test_killed_processes_go_on(alone, tmp_path):
    parallel, wanted = alone
    both = start_two(parallel, tmp_path)
    while both[0].process.is_alive() and not (tmp_path / "checkpoints/00000008").exists():
        time.sleep(0.001)
    for command in both:
        command.kill()
    for command in start_two(parallel, tmp_path):
        finish(command)
    assert left_behind(tmp_path) == wanted


def test_half_of_the_variables_is_an_error():
    command = commands.start(
        f"--config={commands.CONFIG}", "--distributed", JAX_NUM_PROCESSES="2", JAX_PROCESS_ID="0"
    )
    assert command.wait() == 2
    assert "set all of JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROC" in command.err


def test_elastic_processes_that_change_in_number_leave_what_one_does(tmp_path):
    words = [f"--config={commands.CONFIG}:elastic"]
    finish(commands.start(*words, f"--workdir={tmp_path / 'alone'}"))
    workdir = tmp_path / "many"
    words += [f"--workdir={workdir}"]
    for processes, step in ((4, 8), (2, 16), (1, 24)):
        several = commands.together(words, processes)
        while several[0].process.is_alive() and not (workdir / f"checkpoints/{step:08d}").exists():
            time.sleep(0.001)
        for command in several:
            command.kill()
    for command in commands.together(words, processes=4):
        finish(command)
    assert left_behind(workdir) == left_behind(tmp_path / "alone")
