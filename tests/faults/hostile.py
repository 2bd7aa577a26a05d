"""Runs, weights and data from somebody who means harm, read by whatever reads such files."""

from __future__ import annotations

import contextlib
import io
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cnn_jax
from cnn_jax import train
from cnn_jax.errors import UserError, printable
from cnn_jax.inference.weights_folder import write_weights_folder
from cnn_jax.runtime.config_files import config_of_run
from cnn_jax.tools import compare, report
from cnn_jax.training.experiment import make_experiment
from cnn_jax.transfer import importer, parity
from cnn_jax.transfer.initial_weights import read_trained_weights
from tests.faults import audit, hostile_files, memory
from tests.support.folders import config_of, make
from tests.support.tiny_config import get_config

LIMIT = 200  # MB, over files of at most 20 MB
IMAGES = np.zeros((2, 8, 8, 1), np.uint8)


class Hostile:
    """Each round harms one file in a copy of a run, of weights or of a folder of images."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.inside, self.most = folder / "a/b/c/d/e", 0.0
        self.top = folder
        self.inside.mkdir(parents=True)
        (folder / "path").mkdir()
        (folder / "path" / f"{audit.EVIL}.py").write_text("run = X = print\n")
        monkeypatch.syspath_prepend(folder / "path")
        config = get_config()
        config.epochs = 0.5
        self.run, self.weights = folder / "run", folder / "weights"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            train.train_and_evaluate(config, self.run)
            net = cnn_jax.load(self.run)
            write_weights_folder(net, self.run, self.weights)
            self.plain = folder / "plain"
            make(self.plain, {"ants": 12, "bees": 12})
            (folder / "reference").mkdir()
            for name in ("input", "logits"):
                np.save(folder / "reference" / f"{name}.npy", np.zeros((2, 8, 8, 1), np.float32))
            for attack in ATTACKS:  # what is imported and compiled is so from here on
                attack(self, None)

    def round(self, choose: random.Random) -> str:
        attack = choose.choice(ATTACKS)
        before = self.files()
        out, status = io.StringIO(), "read"
        peak = memory.Peak()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), audit.watched():
            try:
                self.said = ""
                attack(self, choose)
            except UserError as error:
                status = "refused"
                print(f"error: {printable(str(error))}")
            except AssertionError:
                raise
            except Exception as error:
                raise AssertionError(f"{self.said}: {type(error).__name__}: {error}") from error
        self.most = max(self.most, peak.check(LIMIT))
        raw = [c for c in out.getvalue() if not c.isprintable() and c not in "\n"]
        if raw:
            raise AssertionError(f"{self.said}: {raw[:5]} is printed: {out.getvalue()!r:.300}")
        if (after := self.files()) != before:
            raise AssertionError(f"{self.said}: written outside: {sorted(before ^ after)}")
        return f"{attack.__name__} {status}"

    def files(self) -> set[Path]:
        """All that lies beside the folder in which files are read and written."""
        paths = {path for path in self.top.rglob("*") if self.inside not in path.parents}
        return {path for path in paths if "__pycache__" not in path.parts}

    def figures(self) -> str:
        return f"at most {self.most:.0f} MB over what the process held before"

    def copy(self, origin: Path) -> Path:
        place = self.inside / origin.name
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(origin, place)
        return place


Choose = random.Random | None


def run_values(own: Hostile, choose: Choose) -> None:
    """A run's files, for whatever reads a finished run."""
    folder = own.copy(own.run)
    if choose:
        names = ["config.json", "data.json", "report.json", "environment.json", "metrics.jsonl"]
        path = folder / choose.choice([name for name in names if (folder / name).exists()])
        harm = hostile_files.hostile_rows if path.suffix == ".jsonl" else hostile_files.hostile_json
        own.said = harm(path, choose)
    use_run(folder, choose)


def run_constants(own: Hostile, choose: Choose) -> None:
    folder = own.copy(own.run)
    if choose:
        own.said = hostile_files.hostile_npz(folder / "constants.npz", choose)
    use_run(folder, choose)


def run_checkpoint(own: Hostile, choose: Choose) -> None:
    folder = own.copy(own.run)
    if choose:
        saves = sorted(path for path in (folder / "checkpoints").iterdir() if path.is_dir())
        own.said = hostile_files.hostile_save(choose.choice(saves), choose)
    use_run(folder, choose)


def use_run(folder: Path, choose: Choose) -> None:
    uses: list[Callable[[Path], object]] = [
        lambda folder: cnn_jax.load(folder).predict(IMAGES),
        lambda folder: report.write_report([str(folder)], folder / "page.html"),
        lambda folder: print(compare.table(compare.group([compare.read_run(folder)]))),
        lambda folder: read_trained_weights(str(folder)),
        go_on,
    ]
    for use in [choose.choice(uses)] if choose else uses:
        use(folder)


def go_on(folder: Path) -> None:
    config = config_of_run(folder)
    experiment = make_experiment(config, is_new_run=False, folder=folder)
    with contextlib.closing(train.Training(experiment, folder)) as training:
        for _ in training:
            break


def weights_folder(own: Hostile, choose: Choose) -> None:
    folder = own.copy(own.weights)
    if choose:
        name = choose.choice(["weights.json", "weights.safetensors", "constants.npz"])
        harm = {".json": hostile_files.hostile_json, ".npz": hostile_files.hostile_npz}.get(
            Path(name).suffix, hostile_files.hostile_safetensors
        )
        own.said = harm(folder / name, choose)
        if name == "weights.safetensors":
            hostile_files.rehash(folder)
    cnn_jax.load(folder).predict(IMAGES)


def imported_file(own: Hostile, choose: Choose) -> None:
    path = own.inside / "lenet.safetensors"
    shutil.copyfile(own.weights / "weights.safetensors", path)
    if choose and choose.random() < 0.5:
        own.said = hostile_files.hostile_safetensors(path, choose)
    elif choose:
        suffix, content = hostile_files.torch_file(choose)
        path = path.with_suffix(suffix)
        path.write_bytes(content)
        own.said = f"{suffix} of a pickle"
    with contextlib.suppress(UserError if not choose else ()):
        importer.import_weights("resnet18_v1_5", path)


def reference_array(own: Hostile, choose: Choose) -> None:
    folder = own.copy(own.top / "reference")
    if choose:
        own.said = "an .npy"
        (folder / choose.choice(["input.npy", "logits.npy"])).write_bytes(
            hostile_files.hostile_npy(choose)
        )
    parity.Reference.read(folder)


def names_of_files(own: Hostile, choose: Choose) -> None:
    """Classes and images whose names a terminal would obey, and links that lead outside."""
    folder = own.copy(own.plain)
    if choose:
        escape = hostile_files.ESCAPE
        own.said = "names"
        (folder / "ants").rename(folder / f"ants{escape}")
        (folder / f"ants{escape}" / f"{escape}.jpg").write_bytes(b"")
        (folder / "bees" / f"a{escape}.gif").write_bytes(b"GIF89a")
        (folder / "bees" / "out.jpg").symlink_to(choose.choice(["/dev/zero", "../../../../x", "."]))
        (folder / escape).mkdir()
    config = config_of(folder)
    config.data.skip_bad = bool(choose and choose.random() < 0.7)
    config.data.streaming = bool(choose and choose.random() < 0.5)
    made = make_experiment(config, folder=own.inside)
    print(repr(made.dataset))


ATTACKS = (
    *(run_values, run_values, run_constants, run_checkpoint, run_checkpoint, weights_folder),
    *(weights_folder, imported_file, reference_array, names_of_files),
)
