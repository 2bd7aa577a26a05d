"""From the path of a run, or of a folder of weights, to the net."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from cnn_jax import models
from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError
from cnn_jax.inference import preparation
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.models.variables import Tree
from cnn_jax.runtime.checkpoint_choice import BEST
from cnn_jax.runtime.config_files import base_config, config_of_run
from cnn_jax.training import open_values
from cnn_jax.training.experiment import make_model
from cnn_jax.training.task_file import read_task
from cnn_jax.transfer import pretrained
from cnn_jax.transfer.initial_weights import make_initial_weights
from cnn_jax.transfer.weight_options import options_of_import
from cnn_jax.transfer.weights import DESCRIPTION, read_description


def load(run_or_weights: str | os.PathLike, checkpoint: str | int = BEST) -> LoadedNet:
    """The net of a workdir, of a folder of weights, or of published ones by name.

    Of a workdir it is that of a `checkpoint`: "best", "newest" or a step. "resnet50.tv_in1k" is
    fetched the first time; `cnn_jax weights` lists the names. Needs neither the data nor the
    devices that it was trained with. Raises `UserError`.
    """
    if not isinstance(run_or_weights, str | os.PathLike):
        raise UserError(
            f"load({run_or_weights!r:.100}): the folder of a run or of weights is wanted"
        )
    folder = pretrained.locate(os.fspath(run_or_weights), "load")
    if (folder / DESCRIPTION).is_file():
        if checkpoint != BEST:
            raise UserError(
                f"checkpoint={checkpoint!r}: {folder} is no run, and holds weights only"
            )
        return load_folder(folder)
    return load_run(folder, checkpoint)


def load_run(folder: Path, checkpoint: str | int = BEST) -> LoadedNet:
    """The averaged weights where there are any, as an evaluation of the run has them."""
    if not folder.is_dir():
        raise UserError(f"load({str(folder)!r}): there is no such folder")
    config = config_of_run(folder)
    open_values.complete(config, folder)
    task, image_shape = read_task(folder)
    model = make_model(config, task.outputs)
    own = preparation.of_run(config, folder, image_shape)
    weights = make_initial_weights(
        *(str(folder), model, config.model.name, image_shape, "keep"),
        key="load",
        checkpoint=checkpoint,
    )
    return LoadedNet(
        name=config.model.name,
        model=model,
        variables=on_device(weights.variables()),
        task=task,
        preparation=own,
        config=config,
        source=f"{folder} ({weights.weights.source})",
    )


def load_folder(folder: Path) -> LoadedNet:
    """The net of a folder that `import_weights` or `export` wrote."""
    description = read_description(folder)
    try:
        name, count = description["model"], description["num_classes"]
        options, own = (
            options_of_import(description),
            preparation.of_record(description["preprocessing"], folder),
        )
        origin = (description.get("source") or {}).get("names", "elsewhere")
        task = None if count is None else task_of(description, count)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / DESCRIPTION} lacks {error}: import the weights again") from None
    if task is None:
        raise UserError(
            f"load({str(folder)!r}): its weights were imported without a head; train one with "
            f"--config.init.from={folder}, and load that run"
        )
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    model = models.create(name, count, **options)
    weights = make_initial_weights(str(folder), model, name, own.image_shape, "keep", key="load")
    return LoadedNet(
        name=name,
        model=model,
        variables=on_device(weights.variables()),
        task=task,
        preparation=own,
        config=config_of_weights(own),
        source=f"{folder} (of {origin})",
    )


def task_of(description: dict[str, Any], count: int) -> Task:
    """What the net tells; imported weights tell classes."""
    task: dict[str, Any] = description.get("task") or {"kind": "classification"}
    is_number = task["kind"] == "regression"
    return Task(**task, classes=() if is_number else class_names(description, count))


def class_names(description: dict[str, Any], count: int) -> tuple[str, ...]:
    """Those of the description, of the first outputs; numbers where it has none."""
    names = description.get("classes") or range(count)
    if len(names) > count:
        raise UserError(f"{DESCRIPTION}: {len(names)} classes are named, and num_classes={count}")
    return tuple(map(str, names))


def config_of_weights(own: preparation.ImagePreparation) -> ConfigDict:
    """A config with this preprocessing, for data that the weights are evaluated on."""
    config = base_config("weights", "folder", own.resize.size)
    config.data.fit, config.data.resize = own.resize.method, own.resize.resize
    config.data.channels = own.resize.channels
    return config


def on_device(variables: dict[str, Tree]) -> dict[str, Tree]:
    """The variables on the one device that computes, without those that are empty."""
    return jax.device_put({name: tree for name, tree in variables.items() if tree})
