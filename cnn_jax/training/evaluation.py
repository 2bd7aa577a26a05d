"""Evaluation of a run that was trained: by its own config, on its own data or on other.

What is trained is the run's; data, protocol and how images are read may be asked otherwise. Nothing
that the run has written changes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.data.identity import composed, label_map
from cnn_jax.data.normalization import FILE
from cnn_jax.data.sources import open_source
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime import checkpoint_choice, report, workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.config_files import config_of_values
from cnn_jax.runtime.stores.copies import in_words
from cnn_jax.training import open_values, reporting
from cnn_jax.training.experiment import Experiment, check_config, make_experiment
from cnn_jax.training.run_identity import (
    hold_to,
    hold_to_statistics,
    keep_data,
    read_split,
)
from cnn_jax.training.train_state import TrainState
from cnn_jax.training.train_step import TrainCarry

# What of the config of a run decides its figures; the rest was of training.
MEASURED = ("model.", "data.", "loss.", "dtype", "space_to_depth")
# Of these, what other data may have otherwise, or has no part in an evaluation.
OF_THE_DATA = ("data.fit", "data.resize", "data.skip_bad", "data.max_pixels")
UNUSED = (
    "model.num_classes",
    "loss.class_weights",
    "data.sampler",
    "data.train_crop",
    "data.label_changing",
    "data.random_labels",
)
DIVISION = ("data.validation", "data.test", "data.split_seed", "data.folds", "data.fold")


def evaluate_only(
    config: ConfigDict, folder: str, checkpoint: str = checkpoint_choice.BEST
) -> dict[str, Any]:
    """Reports on the data of `config` by a checkpoint of a trained `folder`.

    `checkpoint` is "best", "newest" or a step, whose report has a folder of its own. Of other keys
    of `config` only those are asked that change figures and need no training. Other data than the
    run's needs the run's classes, by name, in any order. Raises `UserError`.
    """
    check_config(config, is_new_run=False, folder=Path(folder))
    place, own = Path(folder), workdir.config_of(folder)
    if own is None:
        kind = "whole checkpoint: train first"
        if not (place / workdir.CONFIG).exists() and Checkpoints(folder).is_empty():
            kind = "run: train first, or name another --workdir"
        raise UserError(f"workdir={str(folder)!r} holds no {kind}")
    is_own = is_own_data(config, own, place)
    checkpoint_choice.check_choice(checkpoint, Checkpoints(folder))
    config = asked_of_run(config, own, place, is_own)
    open_values.complete(config, place)
    dataset = None if is_own else other_dataset(config, own["data.name"], place)
    experiment = make_experiment(config, dataset, is_new_run=False, folder=place)
    with workdir.lock(folder):
        if is_own:
            keep_data(experiment, place, is_new_run=False)
        step, state = saved_state(experiment, place, is_own, checkpoint)
        asked_step = None if checkpoint == checkpoint_choice.BEST else step
        out = reporting.report_folder(experiment, place, is_own, asked_step)
        trained_on = None
        if not is_own and reporting.statistics_images(experiment):
            trained_on = data.load(config_of_values(own).data).train
        reported = experiment.dataset.reported
        result = reporting.write_report(experiment, state, reported, out, trained_on)
    if jax.process_index() == 0:
        if experiment.dataset.layout:
            print(printable(f"{config.data.name}: {experiment.dataset.layout}"))
        print(f"checkpoint of step {step} ({Checkpoints(folder).path(step)})")
        print(report.as_text(result))
        print(f"\nreport.json and its pictures are in {in_words(out)}")
    return result


def saved_state(
    experiment: Experiment, folder: Path, is_own: bool, checkpoint: str
) -> tuple[int, TrainState]:
    """A checkpoint's step and state; the newest's where it is the best that is damaged."""
    checkpoints = Checkpoints(folder)
    checkpoints.tidy()
    newest = checkpoints.latest_valid()
    if newest is None:
        raise UserError(f"workdir={str(folder)!r} holds no whole checkpoint: train first")
    saved_form = experiment.compiled.abstract.as_saved()
    restored = checkpoints.restore(newest, saved_form)
    if is_own:
        hold_to(experiment, folder, newest, restored.meta)
    else:
        hold_to_statistics(experiment, folder, newest, restored.meta)
    best = restored.meta["progress"]["best_step"]
    wanted = checkpoint_choice.step_of(checkpoint, best, newest)
    step = checkpoints.latest_valid(wanted)
    if step != wanted and checkpoint != checkpoint_choice.BEST:
        raise checkpoint_choice.damaged(checkpoint, checkpoints)
    if step is not None and step != newest:
        restored = checkpoints.restore(step, saved_form)
    return restored.step, TrainCarry.from_saved(restored.tree).state


def is_own_data(config: ConfigDict, own: dict[str, Any], folder: Path) -> bool:
    """Whether the config names the data of the run: by its name, or as a folder of its files."""
    name = config.data.name
    if workdir.real_path(name) == workdir.real_path(own["data.name"]):
        return True
    if not (name.startswith(workdir.FOLDER) and own["data.name"].startswith(workdir.FOLDER)):
        return False
    parts = read_split(folder)
    if parts is None:
        raise UserError(
            f"{folder / workdir.SPLIT} is missing, by which data.name={name!r} could be told from "
            f"what the run was trained on: evaluate it on {own['data.name']!r} once, and it is "
            "written again"
        )
    source = open_source(config.data)
    names = {composed(source.name(number)) for number in range(len(source))}
    kept = {composed(name) for files in parts.values() for name in files}
    return kept <= names if own.get("data.skip_bad") else kept == names


def asked_of_run(config: ConfigDict, own: dict[str, Any], folder: Path, is_own: bool) -> ConfigDict:
    """The run's config, with what `config` asks otherwise; raises `UserError` for what cannot be.

    Keys that only training uses stay the run's, whatever `config` has.
    """
    asked = workdir.flat(config)
    free = {*workdir.FREE_KEYS, "data.name", "devices"}
    if not is_own:
        free |= {*OF_THE_DATA}
    ignored = free | {*UNUSED} | (set() if is_own else {*DIVISION})
    wrong = [
        f"{key} ({own.get(key)!r} there, {asked.get(key)!r} here)"
        for key in sorted({*own, *asked} - ignored)
        if key.startswith(MEASURED)
        and workdir.without_path(key, own) != workdir.without_path(key, asked)
    ]
    if wrong:
        raise UserError(
            f"workdir={str(folder)!r} was trained with other values of {', '.join(wrong)}; leave "
            "--config and these keys out: they are the run's own"
        )
    return config_of_values(own | {key: asked[key] for key in free if key in asked})


def other_dataset(config: ConfigDict, trained_on: str, folder: Path) -> Dataset:
    """Other data, with labels by the classes of the run; in place of training images, none.

    Its train split has the form and number of the run's, which the clock counts by.
    """
    known = workdir.data_of(folder)
    if known is None:
        raise UserError(
            f"workdir={str(folder)!r} holds a run that kept no names of its classes: evaluate it "
            f"on {trained_on!r} once, and they are written to {workdir.DATA}"
        )
    if not (folder / FILE).exists():
        raise UserError(
            f"{folder / FILE} is missing, by which images are normalised: evaluate the run on "
            f"{trained_on!r} once, and it is written again"
        )
    found = data.load(config.data, undivided=True)
    classes = known["classes"]
    if not classes or found.task.kind != "classification":
        raise UserError(f"data.name={config.data.name!r}: without classes a run has its data only")
    name = config.data.name
    labels = label_map(
        found.task.classes, classes, f"data.name={name!r}", f"workdir={str(folder)!r}"
    )
    if np.any(np.diff(labels) < 0) and jax.process_index() == 0:
        print(f"{printable(name)}: its classes are in another order, and compared by name")
    splits = {name: relabelled(found.split(name), labels) for name in ("validation", "test")}
    count, shape = known["splits"]["train"]["examples"], found.test.image_shape
    none = np.zeros(count, np.int32)
    blank = np.broadcast_to(np.zeros((1, *shape), np.uint8), (count, *shape))
    if (note := shared_names(found, folder)) and jax.process_index() == 0:
        print(f"note: {note}", flush=True)
    return dataclasses.replace(
        found, task=Task("classification", tuple(classes)), train=Split(blank, none, none), **splits
    )


def relabelled(split: Split, labels: np.ndarray) -> Split:
    return dataclasses.replace(split, labels=labels[split.labels])


def shared_names(found: Dataset, folder: Path) -> str:
    """A line where files of the evaluation are named as files of training, "" where none is."""
    trained = {composed(name) for name in (read_split(folder) or {}).get("train", [])}
    names = (found.parts or {}).get(found.reported, [])
    if not (count := len(trained.intersection(names))):
        return ""
    return (
        f"{count} of {len(names)} files are named as files of the training split; if they are the "
        "same images, the figures are not of unseen ones"
    )
