"""A run that goes on from any of its steps, and five times in a row, ends with the same bits.

    python -m tests.faults.resumes [--recipes='mixup;muon'] [--verdicts=FILE]
    python -m tests.faults.resumes --nets=all [--verdicts=FILE]

A recipe is a run of forty steps over three epochs, in batches that do not divide them, saved at
each step. From each save but the last a run goes on to the end, in a folder of its own that holds
this save and the whole log; then one run is stopped and gone on with five times. The saved state,
all that is saved with it and the log must be those of the run without a stop. `--nets` does the
same with each net of the registry at its smallest size, over four steps. What FILE holds is not
made again. Most of the time goes to saves: TMPDIR on a disk in memory is several times as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.quick_compilation import xla_flags

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = xla_flags(devices=4)

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from cnn_jax import models, train
from cnn_jax.errors import UserError
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import Experiment, make_experiment
from tests.support import folders
from tests.support.tiny_config import get_config

EPOCHS, CHAIN = 3.09, 5  # epochs: forty steps of 100 of 1,294 examples; stops in a row
Change = dict[str, Any]

MLP: Change = {"model.name": "mlp", "model.hidden": (16,), "model.norm": "batch"}
CONV: Change = {"model.name": "bn_lenet", "data.image_size": 16}
RECIPES: dict[str, Change] = {
    "momentum": {"optimizer.name": "momentum", "optimizer.learning_rate": 0.05},
    "dropout, averaged weights, plateau": {
        **MLP,
        "model.dropout": 0.2,
        "average_decay": 0.9,
        "schedule.name": "plateau",
    },
    "early stopping": {"early_stopping_patience": 1, "optimizer.learning_rate": 0.3},
    "a convolutional net, crops": CONV | {"augment": ("pad_and_crop(1)",)},
    "mixup": {"augment": ("mixup(0.4)",)},
    "CutMix": CONV | {"augment": ("cutmix(1)",)},
    "RandAugment": CONV | {"augment": ("rand_augment(2, 9)",)},
    "alternating flips": {"augment": ("alternating_flip",)},
    "accumulation": {"accumulate": 2},
    "frozen": {"freeze": ("hidden1", "norm1")},
    "thawed": {"freeze": ("hidden1", "norm1"), "unfreeze": (("hidden1", 1.0), ("norm1", 2.0))},
    "frozen later": {"freeze_after": (("hidden1", 1.5),)},
    "four steps a call": {"steps_per_dispatch": 4, "checkpoint.every_steps": 4},
    "computed again": CONV | {"remat": ("c1", "c3")},
    "bfloat16": CONV | {"dtype": "bfloat16"},
    "lookahead": {"lookahead": "lookahead(5, 0.95, 3, 1)", "optimizer.name": "nesterov"},
    "schedule-free": {"optimizer.name": "schedule_free"},
    "muon": {"optimizer.name": "muon"},
    "LARS, warm-up, cosine": {
        "optimizer.name": "lars",
        "schedule.name": "cosine",
        "schedule.warmup_epochs": 1.0,
    },
    "classes weighted, balanced": {"loss.class_weights": "balanced", "data.sampler": "balanced"},
    "skipped where not finite": {"on_nan": "skip"},
    "pmap on 2": {"parallel": "pmap", "devices": 2},
    "jit on 4": CONV | {"devices": 4},
    "elastic on 2": {"parallel": "elastic", "shards": 4, "devices": 2},
    "moments divided over 2": {"shard_optimizer": True, "devices": 2},
    "a stream of files": {"data.streaming": True},
    "a stream, two workers": {"data.streaming": True, "data.workers": 2},
}


def recipe(name: str, folder: Path) -> ConfigDict:
    """The run of forty steps that has what `name` says."""
    config = get_config()
    config.devices, config.batch_size, config.epochs = 1, 100, EPOCHS
    config.schedule.name, config.augment, config.average_decay = "exponential", (), 0.0
    config.checkpoint.every_steps, config.checkpoint.keep = 1, 1000
    change = RECIPES[name]
    if change.get("data.streaming"):
        photographs = folders.make(folder / "photographs", {"a": 30, "b": 33})
        config.data.name, config.batch_size = f"folder:{photographs}", 4
        config.data.channels, config.data.fit = 3, "bilinear"
        config.data.validation = config.data.test = 0.1
        config.data.train_crop, config.augment = "random_resized_crop(0.3, 1)", ("horizontal_flip",)
    config.model = ConfigDict({"num_classes": 0})
    config.update_from_flattened_dict(change if "model.name" in change else MLP | change)
    return config


def of_net(name: str) -> ConfigDict:
    """Four steps of any net, at the smallest size that it takes."""
    config = get_config()
    height, _, channels = models.REGISTRY[name].input_shape
    config.devices, config.batch_size, config.eval_batch_size = 1, 8, 8
    config.epochs, config.eval_every_epochs = 4 * 8 / 1607, 10.0
    config.data.validation, config.data.test = 10, 0.1
    config.checkpoint.every_steps, config.checkpoint.keep = 1, 1000
    config.schedule.name, config.augment, config.average_decay = "exponential", (), 0.0
    config.data.channels, config.data.fit = channels, "bilinear"
    config.data.image_size = 8 if name.endswith("_cifar") else min(32, height)
    config.model = ConfigDict({"name": name, "num_classes": 10})
    for _ in range(2):  # as the errors advise
        try:
            make_experiment(config)
        except UserError as error:
            if heads := re.search(r"the net has (\d+) auxiliary heads", str(error)):
                config.loss.auxiliary_weights = (0.3,) * int(heads[1])
            else:
                side = re.search(r"at least (\d+)x\1 pixels", str(error))
                config.data.image_size = int(side[1])
    return config


class Resumes:
    """One run without a stop, and those that go on from its saves."""

    def __init__(self, experiment: Experiment, folder: Path):
        self.experiment, self.whole, self.part = experiment, folder / "whole", folder / "part"
        self.whole.mkdir(parents=True)
        self.train(self.whole)
        self.saves = train.Checkpoints(self.whole).steps()
        self.wanted = self.left_in(self.whole)

    def train(self, folder: Path, to: float = float("inf")) -> None:
        """To the end, or until the save of a step, as a kill after it leaves the folder."""
        training = train.Training(self.experiment, folder, quiet=True)
        with contextlib.closing(training), contextlib.closing(iter(training)) as steps:
            for step in steps:
                if step >= to:
                    training.checkpoints.wait()
                    return

    def left_in(self, folder: Path) -> tuple[Any, Any, bytes]:
        checkpoints = train.Checkpoints(folder)
        saved = checkpoints.read(checkpoints.latest_valid())
        return saved.tree, saved.meta, (folder / "metrics.jsonl").read_bytes()

    def begin(self, step: int) -> None:
        """A folder that holds one save, and the log of the whole run."""
        shutil.rmtree(self.part, ignore_errors=True)
        name = train.Checkpoints(self.whole).path(step).name
        shutil.copytree(self.whole / "checkpoints" / name, self.part / "checkpoints" / name)
        for file in self.whole.iterdir():
            if file.is_file():
                shutil.copy(file, self.part)

    def check(self, what: str) -> None:
        """Raises `AssertionError` where the folder's end is another than the whole run's."""
        tree, meta, rows = self.left_in(self.part)
        same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), tree, self.wanted[0])
        if not jax.tree.all(same):
            raise AssertionError(f"{what}: another state")
        if (meta, rows) != self.wanted[1:]:
            raise AssertionError(f"{what}: another log, or more saved beside the state")

    def check_all(self) -> int:
        """How many saves a run went on from."""
        for step in self.saves[:-1]:
            self.begin(step)
            self.train(self.part)
            self.check(f"from step {step}")
        stops = self.saves[:: max(1, len(self.saves) // (CHAIN + 1))][1 : CHAIN + 1]
        self.begin(self.saves[0])
        for step in stops:
            self.train(self.part, to=step)
        self.train(self.part)
        self.check(f"stopped after the steps {stops}")
        return len(self.saves) - 1


def counts(names: list[str], config_of: Any, verdicts: Path | None) -> Iterator[tuple[str, int]]:
    """The number of resumes of each name, all equal; those of the file are not made again."""
    lines = verdicts.read_text().splitlines() if verdicts and verdicts.exists() else []
    known = dict(map(json.loads, lines))
    for name in track(names, "recipes"):
        if name not in known:
            with tempfile.TemporaryDirectory() as scratch:
                config = config_of(name, Path(scratch))
                try:
                    known[name] = Resumes(make_experiment(config), Path(scratch)).check_all()
                except AssertionError as error:
                    raise AssertionError(f"{name}: {error}") from error
            if verdicts:
                with verdicts.open("a") as file:
                    print(json.dumps([name, known[name]]), file=file)
        yield name, known[name]


def chosen(parser: argparse.ArgumentParser, key: str, given: str, choices: list[str]) -> list[str]:
    names = choices if given == "all" else given.split(";")
    if unknown := sorted({*names} - {*choices}):
        parser.error(f"--{key}={given}: {unknown[0]!r} is unknown; choices: {'; '.join(choices)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", default="all", help="names with ; between")
    parser.add_argument("--nets", help="names with ; between, or all")
    parser.add_argument("--verdicts", type=Path)
    options = parser.parse_args()
    retain_freed_memory()  # as the command does
    logging.set_verbosity(logging.ERROR)
    if options.nets:
        names = chosen(parser, "nets", options.nets, models.names())
        made = counts(names, lambda name, _: of_net(name), options.verdicts)
    else:
        names = chosen(parser, "recipes", options.recipes, list(RECIPES))
        made = counts(names, recipe, options.verdicts)
    total = 0
    for name, number in made:
        total += number
        print(f"{name}: {number} of {number} equal, and a chain", flush=True)
    print(f"{total} resumes, {len(names)} chains: equal")


if __name__ == "__main__":
    main()
