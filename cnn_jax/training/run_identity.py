"""What makes a run this run: config, split and statistics, to which its checkpoints hold it.

The files of a workdir can be lost or changed, and no hash guards them: so every checkpoint says
with which values it was trained, and a run that goes on must have the same.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jax

from cnn_jax.data.normalization import FILE
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training.experiment import Experiment


def describe(experiment: Experiment) -> dict[str, Any]:
    """What is saved with every checkpoint, beside the progress."""
    return {
        "config": workdir.flat(experiment.config),
        "versions": workdir.versions(),
        "data": data_digests(experiment),
    }


def data_digests(experiment: Experiment) -> dict[str, str | None]:
    """{file of the workdir: hash of the values in it}; None where the run has no such file."""
    parts = experiment.dataset.parts
    text = json.dumps(parts, sort_keys=True).encode()
    return {
        FILE: experiment.step_spec.statistics.digest(),
        workdir.SPLIT: None if parts is None else hashlib.sha256(text).hexdigest(),
    }


def hold_to(experiment: Experiment, folder: Path, step: int, meta: dict[str, Any]) -> None:
    """Raises `UserError` naming the key or file that is not as the checkpoint of `step` has it."""
    config = workdir.flat(experiment.config)
    workdir.check_same(folder, meta.get("config", config), config)
    saved = meta.get("data", {})  # checkpoints before 0.2.0 have none
    for name, digest in data_digests(experiment).items():
        if saved.get(name, digest) != digest:
            raise UserError(
                f"{folder / name}: the values of this run are not those that the checkpoint of "
                f"step {step} was trained with; bring back that file and the data, or choose "
                "another --workdir"
            )


def refuse_other_net(experiment: Experiment, folder: Path) -> None:
    """Raises `UserError` where a name meant another net of the same weights in 0.1.0."""
    model = experiment.config.model
    if model.name == "seresnet50" and model.get("stride_in") is None:
        raise UserError(
            f"workdir={str(folder)!r} holds a run of cnn_jax 0.1.0, whose seresnet50 strides in "
            "the 3x3; go on with that version, or choose another --workdir"
        )


def keep_data(experiment: Experiment, folder: Path, is_new_run: bool) -> None:
    """Keeps the split and statistics of the training data, or holds the run to those kept."""
    dataset, path = experiment.dataset, folder / workdir.SPLIT
    step, meta = Checkpoints(folder).newest_meta() or (0, {})
    if not (is_new_run or len(dataset.test) or path.exists() or "data" in meta):
        raise UserError(  # 0.1.0 held images of train out, and took val for test
            f"workdir={str(folder)!r} holds a run of cnn_jax 0.1.0, for which the val/ of "
            f"{dataset.name} was the test split; choose another --workdir"
        )
    if not is_new_run and "data" not in meta:
        refuse_other_net(experiment, folder)
    hold_to(experiment, folder, step, meta)  # before a file that is missing is written again
    names = [FILE] if dataset.parts is None else [FILE, workdir.SPLIT]
    missing = [name for name in names if not (folder / name).exists()]
    if jax.process_index() == 0 and not is_new_run:
        for name in missing:
            workdir.warn(f"{folder / name} is missing: it is written again")
    workdir.keep_split(folder, dataset.parts)
    if jax.process_index() == 0 and (is_new_run or FILE in missing):
        experiment.step_spec.statistics.write(folder)
