"""A seeded random schedule of faults, and what must hold after each.

    python -m tests.faults.harness --rounds=100 --seed=0 [--kinds=damage,nonfinite,signal,kill]
    python -m tests.faults.harness --rounds=100 --seed=0 --verdicts=FILE (which it goes on with)
    python -m tests.faults.harness --seed=0 --first=37 --rounds=1       (that round again, exactly)

- damage: a file of the newer of two saves is flipped, cut, zeroed, deleted or swapped: it is named,
  set aside, and the older save is taken and holds its own numbers.
- nonfinite: loss, gradient, statistics or average are NaN at one to three random steps, once each:
  it is found at its step, no save holds one, the end is that of the clean run.
- signal, kill: a run is stopped by one or two signals, or killed at random moments, and started
  again: the end is that of an undisturbed run (see `kill_many`).
- images: a folder of fifty fuzzed images is read by training and by a net: each that is bad is
  listed, each other row is its own file's, and memory stays within the largest image allowed.
- hostile: a file of a run, of weights or of data means harm: it is read as data or refused in one
  line; nothing is imported, unpickled or run, nothing is written elsewhere, and no terminal obeys.
- order: a stream is killed at random steps and read on by 1 to 4 processes of 0 to 4 workers: every
  id comes once an epoch, and order and crops are those of one process without workers.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import random
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NoReturn

import jax
import numpy as np
import pytest
from absl import logging

from cnn_jax import train
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import make_experiment
from tests.faults.bad_images import BadImages
from tests.faults.harms import HARMS
from tests.faults.hostile import Hostile
from tests.faults.kill_many import Killer
from tests.faults.order import Orders
from tests.support.nonfinite_faults import KINDS, NonFiniteFaults
from tests.support.tiny_config import get_config


class Damages:
    """Two saves, of which the newer is harmed."""

    def __init__(self, folder: Path):
        self.saved, self.copy = folder / "saved", folder / "copy"
        checkpoints = Checkpoints(self.saved)
        for step in (1, 2):
            checkpoints.save(step, self.tree_of(step), {"note": step}, best=step)
        checkpoints.close()
        newest = checkpoints.path(2)
        files = [path for path in sorted(newest.rglob("*")) if path.is_file()]
        self.names = [path.relative_to(self.saved) for path in files if path.stat().st_size]

    @staticmethod
    def tree_of(seed: int) -> dict:
        numbers = np.random.RandomState(seed)
        return {"kernel": numbers.normal(size=(40, 30)).astype(np.float32), "step": np.int32(seed)}

    def round(self, choose: random.Random) -> str:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.saved, self.copy)
        harm, path = choose.choice(HARMS), self.copy / choose.choice(self.names)
        before = {p: p.read_bytes() for p in self.copy.rglob("*") if p.is_file()}
        harm(path, choose)
        changed = [p for p in before if not p.exists() or p.read_bytes() != before[p]]
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            step = Checkpoints(self.copy).latest_valid()
        what = f"{harm.__name__} of {path.relative_to(self.copy)}"
        if changed and step != 1:
            raise AssertionError(f"{what}: step {step} was taken")
        if changed and not any(f"{p} " in said.getvalue() for p in changed):
            raise AssertionError(f"{what} is not named in {said.getvalue()!r}")
        restored = Checkpoints(self.copy).read(step)
        jax.tree.map(np.testing.assert_array_equal, restored.tree, self.tree_of(step))
        return harm.__name__ if changed else "harmless"


class NonFinite:
    """A run of eleven steps, compiled once."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder = folder
        self.faults = NonFiniteFaults(monkeypatch)
        config = get_config()
        config.epochs, config.eval_every_epochs, config.devices = 0.5, 10.0, 1
        config.schedule.name, config.on_nan = "constant", "skip"
        self.experiment = make_experiment(config, folder=folder)
        self.clean = self.run("clean")

    def run(self, name: str) -> tuple:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        training = train.Training(self.experiment, folder)
        with contextlib.closing(training), contextlib.redirect_stdout(io.StringIO()):
            for _ in training:
                pass
        for step in training.checkpoints.steps():
            leaves = jax.tree.leaves(training.checkpoints.read(step).tree[0])
            if not all(np.isfinite(leaf).all() for leaf in leaves):
                raise AssertionError(f"the save of step {step} is not finite")
        path = folder / "faults.jsonl"
        found = re.findall(r'"step": (\d+)', path.read_text()) if path.exists() else []
        last = training.checkpoints.read(training.checkpoints.latest_valid()).tree
        return last, (folder / "metrics.jsonl").read_bytes(), [*map(int, found)]

    def round(self, choose: random.Random) -> str:
        steps = sorted(choose.sample(range(1, 12), choose.randint(1, 3)))
        planned = {step: (choose.choice(KINDS), 1) for step in steps}
        self.faults.planned = dict(planned)
        last, rows, found = self.run("faulty")
        if found != steps:
            raise AssertionError(f"{planned}: found at {found}")
        jax.tree.map(np.testing.assert_array_equal, last, self.clean[0])
        if rows != self.clean[1]:
            raise AssertionError(f"{planned}: other rows")
        return f"{len(steps)} nonfinite"


class Stops:
    """Runs of the command that are stopped, by `signal`s or by kills."""

    def __init__(self, folder: Path, kills: int):
        self.killer, self.kills = Killer("jit", folder), kills

    def round(self, choose: random.Random) -> str:
        self.killer.random = choose
        signum = None if self.kills else choose.choice((signal.SIGTERM, signal.SIGINT))
        if (
            self.killer.run(self.kills and choose.randint(1, self.kills), signum)
            != self.killer.wanted
        ):
            raise AssertionError("the end is another than that of the undisturbed run")
        return "kills" if signum is None else signal.Signals(signum).name


WORLDS = {
    "damage": lambda folder, _: Damages(folder),
    "nonfinite": NonFinite,
    "signal": lambda folder, _: Stops(folder, kills=0),
    "kill": lambda folder, _: Stops(folder, kills=3),
    "images": lambda folder, _: BadImages(folder),
    "hostile": Hostile,
    "order": lambda folder, _: Orders(folder),
}


class Verdicts:
    """What became of each round of these kinds and this seed, written as it comes."""

    def __init__(self, path: Path | None, kinds: list[str], seed: int):
        self.path, self.of = path, {"kinds": kinds, "seed": seed}
        lines = path.read_text().splitlines() if path and path.exists() else []
        rows = [json.loads(line) for line in lines]
        self.known = {
            row["round"]: row["verdict"] for row in rows if self.of.items() <= row.items()
        }

    def add(self, number: int, verdict: str) -> None:
        if self.path:
            with self.path.open("a") as file:
                print(json.dumps({**self.of, "round": number, "verdict": verdict}), file=file)


def run_rounds(
    kinds: list[str], seed: int, rounds: int, first: int = 0, verdicts: Path | None = None
) -> collections.Counter:
    """Counts of what happened; raises `AssertionError` naming the round that fails."""
    written = Verdicts(verdicts, kinds, seed)
    seen, worlds = collections.Counter(), {}
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as monkeypatch:
        for number in track(range(first, first + rounds), "rounds"):
            if number in written.known:
                seen[written.known[number]] += 1
                continue
            choose = random.Random(f"{seed} {number}")
            kind = choose.choice(kinds)
            if kind not in worlds:
                folder = Path(scratch, kind)
                folder.mkdir()
                worlds[kind] = WORLDS[kind](folder, monkeypatch)
            try:
                verdict = worlds[kind].round(choose)
            except AssertionError as error:
                again = f"--kinds={','.join(kinds)} --seed={seed} --first={number} --rounds=1"
                raise AssertionError(f"{again}: {kind}: {error}") from error
            seen[verdict] += 1
            written.add(number, verdict)
        for kind, world in worlds.items():
            if hasattr(world, "figures"):
                print(f"{kind}: {world.figures()}")
    return seen


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(WORLDS))
    parser.add_argument("--verdicts", type=Path)
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if unknown := sorted({*kinds} - {*WORLDS}):
        parser.error(
            f"--kinds={options.kinds}: {unknown[0]!r} is unknown; choices: {', '.join(WORLDS)}"
        )
    if options.rounds < 1:
        parser.error(f"--rounds={options.rounds} is out of range: choose a number >= 1")
    retain_freed_memory()  # as the command does
    logging.set_verbosity(logging.ERROR)  # of Orbax, on damage that is done on purpose
    given = options.seed, options.rounds, options.first, options.verdicts
    seen = run_rounds(kinds, *given)
    print(dict(sorted(seen.items())))


if __name__ == "__main__":
    main()
