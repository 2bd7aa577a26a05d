"""Runs whose moments lie divided over two devices, of one process or of two: the same bits."""

import re
import signal
import time

import pytest

from cnn_jax.runtime.checkpoints import Checkpoints
from tests.faults.kill_many import finish, left_behind
from tests.support import commands

pytestmark = pytest.mark.slow

PLAIN = ("--config.average_decay=0.0",)
OPTIMIZERS = {
    "adam": (),
    "schedule_free": (
        *PLAIN,
        "--config.optimizer.name=schedule_free",
        "--config.schedule.name=constant",
    ),
    "lookahead": (*PLAIN, "--config.lookahead=lookahead(5, 0.95, 3, 1)"),
}


@pytest.fixture(scope="module", params=OPTIMIZERS)
def alone(request, tmp_path_factory):
    """The flags, and what one process with two devices leaves."""
    flags = [f"--config={commands.CONFIG}", "--config.shard_optimizer=True"]
    flags += OPTIMIZERS[request.param]
    workdir = tmp_path_factory.mktemp("alone")
    finish(commands.start(*flags, f"--workdir={workdir}", devices=2))
    return flags, left_behind(workdir)


def start_two(flags, workdir):
    return commands.together([*flags, f"--workdir={workdir}"])


def stop(both, workdir):
    """SIGTERM to the first, once there is a save: the step that it says it has saved."""
    while both[0].process.is_alive() and not Checkpoints(workdir).steps():
        time.sleep(0.001)
    both[0].send(signal.SIGTERM)
    assert [command.wait() for command in both] == [128 + signal.SIGTERM] * len(both)
    return re.search(r"stopped by SIGTERM at step (\d+)", both[0].out)[1]


def test_stopped_and_gone_on_with_on_two_devices(alone, tmp_path):
    flags, wanted = alone
    words = [*flags, f"--workdir={tmp_path}"]
    step = stop([commands.start(*words, devices=2)], tmp_path)
    done = finish(commands.start(*words, devices=2))
    assert f"going on from step {step} in" in done.out
    assert left_behind(tmp_path) == wanted


def test_two_processes_stopped_and_gone_on_with(alone, tmp_path):
    flags, wanted = alone
    step = stop(start_two(flags, tmp_path), tmp_path)
    both = start_two(flags, tmp_path)
    for command in both:
        finish(command)
    assert f"going on from step {step} in" in both[0].out
    assert left_behind(tmp_path) == wanted


def test_one_process_goes_on_with_what_two_have_saved(alone, tmp_path):
    flags, wanted = alone
    stop(start_two(flags, tmp_path), tmp_path)
    finish(commands.start(*flags, f"--workdir={tmp_path}", devices=2))
    assert left_behind(tmp_path) == wanted
