"""Kills runs in an object store at random moments, and goes on from a bare machine each time.

    python -m tests.faults.store_kills --kills=40 [--seed=0]

The store is an S3 server on loopback. Each run is killed four times and then left alone; what is
in the store in the end must be equal, to the bit, to what a run on a disk leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.stores.copies import Copy
from cnn_jax.runtime.stores.store import Store
from tests.faults.kill_many import finish, left_behind
from tests.support import commands, s3_server


def words(place: object, parallel: str = "jit") -> list[str]:
    often = "--config.checkpoint.every_steps=8"
    return [f"--config={commands.CONFIG}:{parallel}", f"--workdir={place}", often]


def judged(workdir: Path) -> dict[str, Any]:
    found = left_behind(workdir)
    found["files"] = [name for name in found["files"] if name not in (".lock", ".copy.json")]
    return found


def left_in(store: Store, folder: Path) -> dict[str, Any]:
    """What another machine finds there."""
    Copy(store, folder).pull()
    return judged(folder)


class Machines:
    """Environments of processes that have the store, and no copy of anything in it."""

    def __init__(self, variables: dict[str, str], folder: Path):
        self.variables, self.folder, self.count = variables, folder, itertools.count()

    def bare(self) -> dict[str, str]:
        return {**self.variables, "CNN_JAX_STORES": str(self.folder / f"machine{next(self.count)}")}


def killed_run(
    store: Store, machines: Machines, moments: random.Random, kills: int, seconds: float
) -> int:
    """One run, killed within so many `seconds` of its start, to its end; how often it was.

    Raises `AssertionError` where a start goes on from less than was acknowledged before.
    """
    killed, newest = 0, 0
    for left in reversed(range(kills + 1)):
        command = commands.start(*words(store.address), **machines.bare(), to_be_killed=left > 0)
        if left:
            command.process.join(moments.uniform(0.1, 0.9) * seconds)
            command.kill()
            killed += command.status != 0
        else:
            finish(command)
        if " steps of " in command.out and newest:
            said = f"going on from step {newest} in", f": {newest} steps are done"
            if not any(words in command.out for words in said) or "damaged" in command.err:
                raise AssertionError(f"step {newest}: {command.out}{command.err}")
        newest = newest_in(store, machines.folder / f"seen{next(machines.count)}")
    return killed


def newest_in(store: Store, folder: Path) -> int:
    """The step of the newest save that counts there."""
    Copy(store, folder).pull()
    checkpoints = Checkpoints(folder)
    checkpoints.tidy()
    return max(checkpoints.steps(), default=0)


@contextlib.contextmanager
def served() -> Iterator[tuple[s3_server.Unsteady, Machines, Path]]:
    """A server that this process finds too, and an empty folder."""
    with s3_server.serving() as (server, variables), tempfile.TemporaryDirectory() as folder:
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield server, Machines(variables, Path(folder) / "machines"), Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with served() as (_, machines, folder):
        finish(commands.start(*words(folder / "alone")))
        wanted, moments = judged(folder / "alone"), random.Random(options.seed)
        begun = time.monotonic()
        finish(commands.start(*words(s3_server.make_bucket("s3://runs/whole").address)))
        seconds, kills, different = time.monotonic() - begun, 0, 0
        for run in itertools.count(1):
            if kills >= options.kills:
                break
            store = s3_server.make_bucket(f"s3://runs/run{run}")
            kills += killed_run(store, machines, moments, 4, seconds)
            different += left_in(store, folder / f"run{run}") != wanted
            print(f"{run} runs, {kills} kills, {different} different", flush=True)
    raise SystemExit(1 if different else 0)


if __name__ == "__main__":
    main()
