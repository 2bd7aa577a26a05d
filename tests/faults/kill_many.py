"""Kills a training run at random moments, starts it again until it is done, and compares.

    python -m tests.faults.kill_many --kills=200 [--parallel=jit|pmap] [--seed=0]

Half of the kills come at any time, half while a checkpoint is being written. In the end everything
that the run leaves must be equal, to the bit, to what an uninterrupted run left.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import random
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import CHECKSUMS
from tests.support import commands

DEVICES = {"jit": 1, "pmap": 8}


def start(parallel: str, workdir: Path, to_be_killed: bool = True) -> commands.Command:
    return commands.start(
        f"--config={commands.CONFIG}:{parallel}",
        f"--workdir={workdir}",
        devices=DEVICES[parallel],
        to_be_killed=to_be_killed,
    )


def finish(command: commands.Command) -> commands.Command:
    if command.wait() != 0:
        raise AssertionError(f"exit status {command.status}: {command.err}")
    return command


def left_behind(workdir: Path) -> dict[str, Any]:
    """All that a finished run is judged by: hashes of the state, the log, the report, the files."""
    checkpoints = Checkpoints(workdir)
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    last = checkpoints.path(checkpoints.latest_valid())
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        tree = reader.metadata(last / "state").item_metadata.tree
        as_arrays = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
        state = reader.restore(last / "state", restore_args=as_arrays)
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
        meta = reader.restore(last / "meta")
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        digest.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        digest.update(leaf.tobytes())
    return {
        "checkpoints": names,
        "state": digest.hexdigest(),
        "meta": meta,
        "rows": (workdir / "metrics.jsonl").read_text(),
        "report": json.loads((workdir / "report.json").read_text()),
        "files": sorted(path.name for path in workdir.iterdir()),
    }


def unfinished(workdir: Path) -> list[Path]:
    """The saves that are under way in a workdir, or that a kill left there."""
    folder = workdir / "checkpoints"
    try:
        return [path for path in folder.iterdir() if not (path / CHECKSUMS).exists()]
    except FileNotFoundError:
        return []


class Killer:
    """Runs that are killed; counts what was seen."""

    def __init__(self, parallel: str, folder: Path, seed: int = 0):
        self.parallel, self.folder = parallel, folder
        self.random = random.Random(seed)
        self.seen: collections.Counter[str] = collections.Counter()
        begun = time.monotonic()
        finish(start(parallel, folder / "whole", to_be_killed=False))
        self.seconds = time.monotonic() - begun
        self.wanted = left_behind(folder / "whole")

    def run(self, kills: int, signum: int | None = None) -> dict[str, Any]:
        """One run, stopped by `signum`, then killed at most `kills` times: what it leaves."""
        workdir = self.folder / "killed"
        shutil.rmtree(workdir, ignore_errors=True)
        acknowledged = [] if signum is None else [self.stop(workdir, signum)]
        for _ in range(kills):
            command = start(self.parallel, workdir)
            self.wait_for_moment(command, workdir)
            command.kill()
            if command.status not in (0, 128 + signal.SIGKILL):
                raise AssertionError(f"exit status {command.status}: {command.err}")
            self.check_start(command, acknowledged)
            acknowledged = Checkpoints(workdir).steps()
            if command.status == 0:  # it was done before
                break
            self.seen["kills"] += 1
            self.seen["inside a save"] += bool(unfinished(workdir))
        command = finish(start(self.parallel, workdir))
        self.check_start(command, acknowledged)
        self.seen["finished runs"] += 1
        return left_behind(workdir)

    def wait_for_moment(self, command: commands.Command, workdir: Path) -> None:
        """Returns at a random time, or at a random one of the saves that this process makes."""
        if self.random.random() < 0.5:
            command.process.join(self.random.uniform(0, self.seconds))
            return
        old, saves = set(unfinished(workdir)), self.random.randint(1, 6)
        while command.process.is_alive() and saves:
            new = set(unfinished(workdir))
            saves -= bool(new - old)
            old = new
            time.sleep(0.001)
        time.sleep(self.random.uniform(0, 0.03))

    def stop(self, workdir: Path, signum: int) -> int:
        """Sends `signum` to a loop under way; returns the step that it says it has saved."""
        command = start(self.parallel, workdir)
        while command.process.is_alive() and " steps of " not in command.out:
            time.sleep(0.001)
        time.sleep(self.random.uniform(0, 0.3))
        command.send(signum)
        if signum == signal.SIGTERM:  # a second one changes nothing
            time.sleep(0.01)
            command.send(signum)
        if command.wait() != 128 + signum or command.err:
            raise AssertionError(f"exit status {command.status}: {command.out}{command.err}")
        name = signal.Signals(signum).name
        line = command.out.splitlines()[-1]
        said = re.fullmatch(rf"stopped by {name} at step (\d+): saved, go on with: (.*)", line)
        words = f"--config={commands.CONFIG}:{self.parallel} --workdir={workdir}"
        if not said or said[2] != f"python -m cnn_jax.main {words}":
            raise AssertionError(line)
        if Checkpoints(workdir).steps()[-1] != int(said[1]):
            raise AssertionError(f"{line!r}, but there are {Checkpoints(workdir).steps()}")
        return int(said[1])

    def check_start(self, command: commands.Command, acknowledged: list[int]) -> None:
        """A process must go on from the newest acknowledged save, without a warning."""
        if command.err:
            raise AssertionError(command.err)
        if acknowledged and " steps of " in command.out:
            step = acknowledged[-1]
            if not re.search(rf"going on from step {step} in|: {step} steps are done", command.out):
                raise AssertionError(f"step {step} is not gone on from in {command.out!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--parallel", choices=DEVICES, default="jit")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(options.parallel, Path(folder), options.seed)
        while killer.seen["kills"] < options.kills:
            found = killer.run(min(8, options.kills - killer.seen["kills"]))
            killer.seen["different"] += found != killer.wanted
            print(dict(killer.seen), flush=True)
    raise SystemExit(1 if killer.seen["different"] else 0)


if __name__ == "__main__":
    main()
