"""Every call that changes a file of a save fails, one after another, and what must hold then.

    python -m tests.faults.write_faults [--every=1] [--what=save,run] [--verdicts=FILE]

A library before libc (`failing_writes.c`, made by the C compiler) lets the n-th write, fsync,
rename, mkdir or creation of a file fail, for Orbax's and tensorstore's calls too: by itself, or
with all that follow, full (ENOSPC) or broken (EIO).

- save: the second of two saves fails in a line, or is whole all the same. The first stays whole, is
  what a new process takes, and the next save comes through.
- run: a whole run of eleven steps. Its status is 0 only with its final checkpoint.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging

from cnn_jax import cli, train
from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import damage
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import Experiment, make_experiment
from tests.support.tiny_config import get_config

SOURCE, LIBRARY = Path(__file__).with_name("failing_writes.c"), "CNN_JAX_FAILING_WRITES"
ERRORS = (errno.ENOSPC, errno.EIO)


class Faults:
    """The library, which this process was started with."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(os.environ[LIBRARY])
        self.library.counted.restype = ctypes.c_long
        self.library.failed.restype = ctypes.c_char_p

    def arm(self, folder: Path, at: int, error: int = 0, lasting: bool = False) -> None:
        where = ctypes.c_char_p(os.fsencode(folder))
        self.library.arm(where, ctypes.c_long(at), error, int(lasting))

    def disarm(self) -> tuple[int, str]:
        """(calls that came, the one that failed)."""
        found = self.library.counted(), os.fsdecode(self.library.failed())
        self.arm(Path("/nowhere"), 0)
        return found


def tree_of(step: int) -> dict[str, np.ndarray]:
    return {"kernel": np.full((20, 30), step, np.float32)}


def save_round(faults: Faults, folder: Path, at: int, error: int, lasting: bool) -> tuple[int, str]:
    """(calls that came, what became of the second save)."""
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, tree_of(1), {"progress": {"step": 1}}, best=1)
    checkpoints.wait()
    said = io.StringIO()
    faults.arm(folder, at, error, lasting)
    try:
        with contextlib.redirect_stderr(said):
            checkpoints.save(2, tree_of(2), {"progress": {"step": 2}}, best=1)
            checkpoints.wait()
        verdict = "saved"
    except UserError as failure:
        verdict = "a line"
        if "\n" in str(failure) or not str(failure).startswith(
            "the checkpoint of step 2 could not"
        ):
            raise AssertionError(f"not a line: {failure}") from failure
    calls, where = faults.disarm()
    what = f"{os.strerror(error)} at {at} ({where})"
    there = Checkpoints(folder)
    there.tidy()
    newest = there.latest_valid()
    if newest != (2 if verdict == "saved" else 1):
        raise AssertionError(f"{what}: {verdict}, and step {newest} is taken")
    if damage(there.path(1)):
        raise AssertionError(f"{what}: {damage(there.path(1))}")
    found = there.read(newest).tree["kernel"]
    np.testing.assert_array_equal(found, tree_of(newest)["kernel"])
    checkpoints.save(3, tree_of(3), {"progress": {"step": 3}}, best=1)
    checkpoints.close()
    if there.latest_valid() != 3:
        raise AssertionError(f"{what}: the next save is not whole")
    Checkpoints(folder).tidy()  # as the next process begins
    left = {path.name for path in there.folder.iterdir()} - {f"{n:08}" for n in (1, 2, 3)}
    if left:
        raise AssertionError(f"{what}: left behind {left}")
    return calls, verdict


class Runs:
    """Runs of eleven steps, compiled once."""

    def __init__(self, folder: Path):
        config = get_config()
        config.epochs, config.eval_every_epochs, config.devices = 0.5, 10.0, 1
        config.schedule.name = "constant"
        self.experiment: Experiment = make_experiment(config, folder=folder)

    def __call__(
        self, faults: Faults, folder: Path, at: int, error: int, lasting: bool
    ) -> tuple[int, str]:
        folder.mkdir()
        said = io.StringIO()

        def main(argv: object) -> None:
            training = train.Training(self.experiment, folder)
            with contextlib.closing(training):
                for _ in training:
                    pass

        faults.arm(folder, at, error, lasting)
        status = 0
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = cli.guard(main)(["run"]) or 0
            except SystemExit as end:
                status = int(end.code or 0)
        calls, where = faults.disarm()
        what = f"{os.strerror(error)} at {at} ({where}): status {status}"
        there = Checkpoints(folder)
        there.tidy()
        newest = there.latest_valid() if there.finished() else None
        total = self.experiment.clock.total_steps
        if status == 0 and newest != total:
            raise AssertionError(
                f"{what}, and the newest save is of step {newest}: {said.getvalue()}"
            )
        lines = [line for line in said.getvalue().splitlines() if line.startswith("error: ")]
        if status and len(lines) != 1:
            raise AssertionError(f"{what}: {said.getvalue()}")
        return calls, "done" if status == 0 else f"status {status}"


def each_call(kind: str, every: int, verdicts: Path | None = None) -> collections.Counter[str]:
    """Counts of what became of it; raises `AssertionError` naming the call."""
    faults, seen = Faults(), collections.Counter[str]()
    known = verdicts.read_text().splitlines() if verdicts and verdicts.exists() else []
    done = {tuple(row[:4]): row[4] for row in map(json.loads, known)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        places = Path(scratch).resolve()
        rounds: Callable = save_round if kind == "save" else Runs(Path(scratch))
        calls, _ = rounds(faults, places / "whole", 0, 0, False)
        cases = [
            (kind, at, error, lasting)
            for at in range(1, calls + 1, every)
            for error in ERRORS
            for lasting in (False, True)
        ]
        for case in track(cases, f"{kind}: {calls} calls"):
            _, at, error, lasting = case
            if case in done:
                seen[done[case]] += 1
                continue
            # A folder of its own: a thread of a failed save may still write in the one before.
            place = places / f"at{at}_{error}_{lasting}"
            verdict = rounds(faults, place, at, error, lasting)[1]
            shutil.rmtree(place, ignore_errors=True)
            seen[verdict] += 1
            if verdicts:
                with verdicts.open("a") as file:
                    print(json.dumps([*case, verdict]), file=file)
    seen[f"calls of a {kind}"] = calls
    return seen


def build(folder: str) -> str:
    """The library's path."""
    path = os.path.join(folder, "failing_writes.so")
    words = ["cc", "-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-o", path, str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)
    return path


def main() -> None:
    logging.set_verbosity(logging.FATAL)  # of Orbax, as the command has it
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--what", default="save,run")
    parser.add_argument("--verdicts", type=Path)
    options = parser.parse_args()
    if LIBRARY not in os.environ:  # again, with it
        with tempfile.TemporaryDirectory() as folder:
            path = build(folder)
            own = {**os.environ, LIBRARY: path, "LD_PRELOAD": path}
            words = [sys.executable, "-m", "tests.faults.write_faults", *sys.argv[1:]]
            raise SystemExit(subprocess.run(words, env=own).returncode)
    for kind in options.what.split(","):
        print(kind, dict(sorted(each_call(kind, options.every, options.verdicts).items())))
    sys.stdout.flush()
    os._exit(0)  # some threads of failed saves still wait


if __name__ == "__main__":
    main()
