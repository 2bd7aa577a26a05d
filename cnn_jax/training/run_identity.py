"""What makes a run this run: config, data and statistics, to which its checkpoints hold it.

The files of a workdir can be lost or changed, and no hash guards them: so every checkpoint says
with which values it was trained, and a run that goes on must have the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from cnn_jax.data.identity import composed
from cnn_jax.data.normalization import FILE
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.task_file import task_record

Parts = dict[str, list[str]]


def describe(experiment: Experiment) -> dict[str, Any]:
    """What is saved with every checkpoint, beside the progress."""
    return {
        "config": workdir.flat(experiment.config),
        "versions": workdir.versions(),
        "total_steps": experiment.clock.total_steps,
        "data": {**data_digests(experiment), **experiment.dataset.identity},
    }


def data_digests(experiment: Experiment) -> dict[str, str | None]:
    """{file of the workdir: hash of the values in it}; None where the run has no such file."""
    parts = experiment.dataset.parts
    return {
        FILE: experiment.step_spec.statistics.digest(),
        workdir.SPLIT: None if parts is None else parts_digest(parts),
    }


def parts_digest(parts: Parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def hold_to(
    experiment: Experiment, folder: Path, step: int, meta: dict[str, Any], extend: bool = False
) -> None:
    """Raises `UserError` naming the key, data or file that is not as the checkpoint has it."""
    config = workdir.flat(experiment.config)
    free = workdir.free_keys(folder, extend)
    workdir.check_same(folder, meta.get("config", config), config, free)
    saved = meta.get("data", {})  # checkpoints before 0.2.0 have none
    hold_to_data(experiment, folder, saved)
    for name, digest in data_digests(experiment).items():
        hold_to_digest(folder / name, step, saved.get(name, digest), digest)


def hold_resume_to(
    experiment: Experiment, folder: Path, step: int, meta: dict[str, Any], extend: bool = False
) -> None:
    """`hold_to` of a run that trains on, with a warning where libraries are others."""
    hold_to(experiment, folder, step, meta, extend)
    tell_other_versions(step, meta.get("versions", {}))


def tell_other_versions(step: int, saved: dict[str, str]) -> None:
    """Warns where `saved` with a checkpoint are not the libraries that are here."""
    here = workdir.versions()
    changes = [
        f"{name} {version} is {here.get(name, 'missing')} now"
        for name, version in saved.items()
        if here.get(name) != version
    ]
    if changes and jax.process_index() == 0:
        workdir.warn(
            f"since step {step} was saved {', '.join(changes)}: the run goes on, and its bits may "
            "not be those of one that is trained with the same versions throughout"
        )


def hold_to_statistics(
    experiment: Experiment, folder: Path, step: int, meta: dict[str, Any]
) -> None:
    """`hold_to` of what normalises images alone: for other data than the run's."""
    digest = experiment.step_spec.statistics.digest()
    hold_to_digest(folder / FILE, step, meta.get("data", {}).get(FILE, digest), digest)


def hold_to_digest(path: Path, step: int, saved: str | None, here: str | None) -> None:
    if saved != here:
        raise UserError(
            f"{path}: the values of this run are not those that the checkpoint of step {step} was "
            "trained with; bring back that file and the data, or choose another --workdir"
        )


def hold_to_data(experiment: Experiment, folder: Path, saved: dict[str, Any]) -> None:
    """Raises `UserError` where classes or examples are not those `saved` with a checkpoint.

    A run of 0.1.0 saved nothing of them: it is held to the files in its split.json.
    """
    dataset, parts = experiment.dataset, experiment.dataset.parts
    before = read_split(folder)
    if saved.get(workdir.SPLIT) and before and parts_digest(before) != saved[workdir.SPLIT]:
        before = None  # not the file that the checkpoint knew
    is_other = {key: saved.get(key, here) != here for key, here in dataset.identity.items()}
    if any(is_other.values()) or (before and parts and split_changes(before, parts)):
        changes = data_changes(saved, dataset.identity, before, parts)
        raise UserError(
            f"data.name={dataset.name!r} is not the data that workdir={str(folder)!r} was trained "
            f"on: {changes}; restore it, or choose another --workdir"
        )


def data_changes(
    saved: dict[str, Any], here: dict[str, Any], before: Parts | None, now: Parts | None
) -> str:
    """What came and what went, in words: classes, files by name where they are known, or counts."""
    there, own = saved.get("classes", here["classes"]), here["classes"]
    changes = came_and_went("class", there, own)
    if not changes and there != own:
        changes.append("its classes are in another order")
    if before and now:
        changes += split_changes(before, now)
    if not changes:
        for name, split in here["splits"].items():
            old = saved["splits"].get(name, {"examples": 0, "sha256": ""})
            if old["examples"] != split["examples"]:
                changes.append(
                    f"{name} had {old['examples']:,} examples, now {split['examples']:,}"
                )
            elif old["sha256"] != split["sha256"]:
                changes.append(f"the {split['examples']:,} examples of {name} are others")
    return "; ".join(changes)


def split_changes(before: Parts, now: Parts) -> list[str]:
    """Files that came or went; of the same files, how many are in another split."""
    old, new = (
        {composed(name): split for split, names in parts.items() for name in names}
        for parts in (before, now)
    )
    changes = came_and_went("file", old, new)
    if not changes and (moved := [name for name in old if old[name] != new[name]]):
        first = min(moved)
        changes.append(
            f"{len(moved)} file(s) are in another split, {first} the first "
            f"({old[first]} there, {new[first]} here)"
        )
    return changes


def came_and_went(what: str, before: Iterable[str], now: Iterable[str]) -> list[str]:
    """ "2 file(s) came, a.jpg the first", and the same of those that went."""
    sides = {"came": {*now} - {*before}, "went": {*before} - {*now}}
    return [
        f"{len(names)} {what}{'(es)' if what == 'class' else '(s)'} {verb}, {min(names)} the first"
        for verb, names in sides.items()
        if names
    ]


def read_split(folder: Path) -> Parts | None:
    """The files of each split as a workdir has them; None where it has no such file."""
    path = folder / workdir.SPLIT
    if not path.exists():
        return None
    try:
        parts = read_json_object(path)
        return {split: [*map(str, names)] for split, names in parts.items()}
    except (OSError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): remove it, and it is written again"
        ) from error


def refuse_other_net(experiment: Experiment, folder: Path) -> None:
    """Raises `UserError` where a name meant another net of the same weights in 0.1.0."""
    model = experiment.config.model
    if model.name == "seresnet50" and model.get("stride_in") is None:
        raise UserError(
            f"workdir={str(folder)!r} holds a run of cnn_jax 0.1.0, whose seresnet50 strides in "
            "the 3x3; go on with that version, or choose another --workdir"
        )


def refuse_other_path(experiment: Experiment, folder: Path, meta: dict[str, Any]) -> None:
    """Raises `UserError` for a folder at another path, of which 0.1.0 kept no list of files."""
    name = experiment.dataset.name
    there = meta.get("config", {}).get("data.name", name)
    if not read_split(folder) and workdir.real_path(there) != workdir.real_path(name):
        raise UserError(
            f"workdir={str(folder)!r} holds a run of cnn_jax 0.1.0, which kept no list of its "
            f"files: data.name={name!r} may be other data than {there!r}; give that path, or "
            "choose another --workdir"
        )


def keep_data(experiment: Experiment, folder: Path, is_new_run: bool, extend: bool = False) -> None:
    """Keeps what the training data is, or holds the run to what was kept.

    Each process looks for itself; process 0 writes.
    """
    if not is_new_run:
        step, meta = Checkpoints(folder).newest_meta() or (0, {})
        if "data" not in meta:
            refuse_earlier_run(experiment, folder, meta)
        hold_to(experiment, folder, step, meta, extend)  # before a missing file is written again
    if jax.process_index() == 0:
        write_data(experiment, folder, is_new_run)


def write_data(experiment: Experiment, folder: Path, is_new_run: bool) -> None:
    """Writes classes, split and statistics: of a run that goes on those that are missing."""
    dataset = experiment.dataset
    if is_new_run or not (folder / workdir.DATA).exists():
        record = {"name": dataset.name, **dataset.identity, **task_record(dataset)}
        workdir.write_json(folder / workdir.DATA, record)
    for name in [FILE] if dataset.parts is None else [FILE, workdir.SPLIT]:
        path = folder / name
        if not is_new_run:
            if path.exists():
                continue
            workdir.warn(f"{path} is missing: it is written again")
        if name == FILE:
            experiment.step_spec.statistics.write(folder)
        else:
            workdir.write_json(path, dataset.parts)


def refuse_earlier_run(experiment: Experiment, folder: Path, meta: dict[str, Any]) -> None:
    """Raises `UserError` for a run of 0.1.0 that cannot go on as it was."""
    dataset = experiment.dataset
    if not (len(dataset.test) or (folder / workdir.SPLIT).exists()):
        raise UserError(  # 0.1.0 held images of train out, and took val for test
            f"workdir={str(folder)!r} holds a run of cnn_jax 0.1.0, for which the val/ of "
            f"{dataset.name} was the test split; choose another --workdir"
        )
    refuse_other_net(experiment, folder)
    refuse_other_path(experiment, folder, meta)
