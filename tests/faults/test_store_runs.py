"""Runs in an object store, by the command, against an S3 server on loopback."""

import random
import re
import signal
import time

import pytest

from cnn_jax.runtime.stores.copies import Copy
from cnn_jax.runtime.stores.lease import PLACE
from tests.faults.kill_many import finish, left_behind
from tests.support import commands, s3_server

# aiobotocore's and moto's own.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
for module in ("moto", "s3fs", "flask", "flask_cors"):
    pytest.importorskip(module, reason=f"{module} is not installed: pip install -e '.[test]'")


@pytest.fixture(scope="module")
def server():
    with s3_server.serving() as (application, variables), pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield application, variables


@pytest.fixture
def store(server, request, tmp_path):
    """A workdir in the store, and how a process is started that works there on a bare machine."""
    application, variables = server
    application.every = 0
    address = f"s3://{s3_server.BUCKET}/{request.node.name}"
    machines = (str(tmp_path / f"machine{number}") for number in range(1000))

    def environment():
        return {**variables, "CNN_JAX_STORES": next(machines)}

    return s3_server.make_bucket(address), environment


def words(address, parallel="jit"):
    return [f"--config={commands.CONFIG}:{parallel}", f"--workdir={address}"]


def judged(workdir):
    found = left_behind(workdir)
    found["files"] = [name for name in found["files"] if name not in (".lock", ".copy.json")]
    return found


def left_in(store, folder):
    """What another machine finds there."""
    Copy(store, folder).pull()
    return judged(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What a run on a disk leaves."""
    workdir = tmp_path_factory.mktemp("alone")
    finish(commands.start(*words(workdir)))
    return judged(workdir)


def test_a_store_that_fails_every_fourth_time_has_the_same_run(alone, store, server, tmp_path):
    there, environment = store
    application, _ = server
    application.every = 4
    command = finish(commands.start(*words(there.address), **environment()))
    application.every = 0
    assert application.failed > 20
    assert f"metrics.jsonl are in {there.address}" in command.out
    assert left_in(there, tmp_path / "copy") == alone


def test_killed_at_any_moment_a_run_goes_on_from_a_bare_machine(alone, store, tmp_path):
    there, environment = store
    moments = random.Random(0)
    begun = time.monotonic()
    finish(commands.start(*words(f"{there.address}_undisturbed"), **environment()))
    whole = time.monotonic() - begun
    for _ in range(6):
        command = commands.start(*words(there.address), **environment(), to_be_killed=True)
        command.process.join(moments.uniform(0.2, 0.9) * whole)
        command.kill()
    command = finish(commands.start(*words(there.address), **environment()))
    assert left_in(there, tmp_path / "copy") == alone
    assert "damaged" not in command.err
    leases = [name for name in there.entries(PLACE) if "clock" not in name]
    assert len(leases) == 1


def test_a_signal_publishes_before_the_end(alone, store, tmp_path):
    there, environment = store
    command = commands.start(*words(there.address), **environment())
    while command.process.is_alive() and " steps of " not in command.out:
        time.sleep(0.001)
    command.send(signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM
    step = re.search(r"stopped by SIGTERM at step (\d+)", command.out)[1]
    command = finish(commands.start(*words(there.address), **environment()))
    assert f"going on from step {step} in {there.address}" in command.out
    assert left_in(there, tmp_path / "copy") == alone


def test_processes_with_copies_of_their_own_are_one_run(store, tmp_path):
    there, environment = store
    workdir = tmp_path / "alone"
    finish(commands.start(*words(workdir), devices=2))
    both = commands.together(words(there.address), **environment())
    for command in both:
        finish(command)
    assert left_in(there, tmp_path / "copy") == judged(workdir)


def test_an_unreachable_store_is_one_line(store):
    there, environment = store
    variables = {**environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    begun = time.monotonic()
    command = commands.start(*words(there.address), **variables)
    assert command.wait() == 2
    assert time.monotonic() - begun < 120
    assert command.err.splitlines()[-1].startswith(f"error: {there.address}: listing failed (")
