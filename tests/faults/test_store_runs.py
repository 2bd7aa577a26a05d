"""Runs in an object store, by the command, against an S3 server on loopback."""

import random
import re
import signal
import time

import pytest

from cnn_jax.runtime.stores.lease import PLACE
from tests.faults.kill_many import finish
from tests.faults.store_kills import judged, killed_run, left_in, served, words
from tests.support import commands
from tests.support.s3_server import BUCKET, make_bucket

# aiobotocore's and moto's own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
NEEDED = ("moto", "s3fs", "flask", "flask_cors")


@pytest.fixture(scope="module")
def server():
    for module in NEEDED:
        pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[test]'")
    with served() as parts:
        yield parts


@pytest.fixture
def there(server, request):
    """A workdir in the store."""
    server[0].every = 0
    return make_bucket(f"s3://{BUCKET}/{request.node.name}")


@pytest.fixture
def machines(server):
    return server[1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a run on a disk leaves, and the seconds that it takes."""
    workdir, begun = tmp_path_factory.mktemp("alone"), time.monotonic()
    finish(commands.start(*words(workdir)))
    return judged(workdir), time.monotonic() - begun


def test_a_store_that_fails_every_fourth_time_has_the_same_run(
    alone, there, machines, server, tmp_path
):
    server[0].every = 4
    command = finish(commands.start(*words(there.address), **machines.bare()))
    server[0].every = 0
    assert server[0].failed > 20
    assert f"metrics.jsonl are in {there.address}" in command.out
    assert left_in(there, tmp_path / "copy") == alone[0]


def test_killed_at_any_moment_a_run_goes_on_from_a_bare_machine(alone, there, machines, tmp_path):
    wanted, seconds = alone
    killed_run(there, machines, random.Random(0), 4, 2 * seconds)
    assert left_in(there, tmp_path / "copy") == wanted
    assert len([name for name in there.entries(PLACE) if "clock" not in name]) == 1


def test_a_signal_publishes_before_the_end(alone, there, machines, tmp_path):
    command = commands.start(*words(there.address), **machines.bare())
    while command.process.is_alive() and " steps of " not in command.out:
        time.sleep(0.001)
    command.send(signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM
    step = re.search(r"stopped by SIGTERM at step (\d+)", command.out)[1]
    command = finish(commands.start(*words(there.address), **machines.bare()))
    assert f"going on from step {step} in {there.address}" in command.out
    assert left_in(there, tmp_path / "copy") == alone[0]


def test_processes_with_copies_of_their_own_are_one_run(there, machines, tmp_path):
    workdir = tmp_path / "alone"
    finish(commands.start(*words(workdir), devices=2))
    for command in commands.together(words(there.address), **machines.bare()):
        finish(command)
    assert left_in(there, tmp_path / "copy") == judged(workdir)


def test_an_unreachable_store_is_one_line(there, machines):
    variables = {**machines.bare(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    begun = time.monotonic()
    command = commands.start(*words(there.address), **variables)
    assert command.wait() == 2
    assert time.monotonic() - begun < 90
    assert command.err.splitlines()[-1].startswith(f"error: {there.address}: listing failed (")
