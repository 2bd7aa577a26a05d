"""Training from Python: on data of one's own, quietly, with what was logged and reported."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cnn_jax import data, train
from cnn_jax.data.dataset import Dataset, EncodedSource
from cnn_jax.data.sources import GIVEN, checked_source
from cnn_jax.data.sources.array_source import ArraySource
from cnn_jax.errors import UserError
from cnn_jax.runtime import progress
from cnn_jax.runtime.config_files import load_config
from cnn_jax.runtime.regular_files import read_regular
from cnn_jax.runtime.stores.copies import local_file
from cnn_jax.runtime.stores.store import is_address
from cnn_jax.training import config_checks


@dataclasses.dataclass(frozen=True, repr=False)
class Trained:
    """A finished run; `cnn_jax.load(trained.workdir)` opens its net."""

    workdir: str
    history: list[dict[str, Any]]  # a row an evaluation, as metrics.jsonl has it
    report: dict[str, Any]  # as report.json has it

    def __repr__(self) -> str:
        name = "accuracy" if "accuracy" in self.report else "mean_absolute_error"
        figure = f"{name.replace('_', ' ')} {self.report[name]:.4f} on {self.report['split']}"
        return f"<{figure} after {self.history[-1]['epoch']:g} epochs; {self.workdir}>"


def train_and_evaluate(
    config: ConfigDict | str,
    workdir: str | os.PathLike,
    dataset: Dataset | ArraySource | EncodedSource | None = None,
    quiet: bool = False,
    extend: bool = False,
    on_step: Callable[[int, int], object] = lambda step, steps: None,
) -> Trained:
    """Trains in `workdir`, or goes on there, and reports, as `cnn_jax train` does.

    `config` is one, or its name, "lenet5:mnist". A `dataset` takes the place of the config's: a
    source (`cnn_jax.data.from_arrays`) is divided (a tenth for each part, unless `config.data` has
    fractions) and resized, and gives the net its channels and number of classes; a `Dataset` is
    taken as it is. `quiet` prints nothing but warnings. The config that is given is not changed.
    `on_step` is called with the steps that are done, and that there are, as they are made.
    Raises `UserError`, and `Interrupted` after a signal, with everything saved.
    """
    if not isinstance(config, ConfigDict | str):
        raise UserError(f"config={config!r}: a ConfigDict or its name, 'lenet5:mnist', is wanted")
    if not isinstance(workdir, str | os.PathLike) or not str(workdir):
        raise UserError(f"workdir={workdir!r}: the name of a folder is wanted")
    workdir = workdir if is_address(workdir) else os.path.expanduser(workdir)
    own = load_config(config) if isinstance(config, str) else config.copy_and_resolve_references()
    with progress.hidden() if quiet else contextlib.nullcontext():
        config_checks.check(own)  # before the data is read
        its_data = None if dataset is None else given(own, dataset)
        report = train.train_and_evaluate(own, str(workdir), extend, its_data, quiet, on_step)
    return Trained(
        str(workdir), read_history(local_file("workdir", workdir, "metrics.jsonl")), report
    )


def given(config: ConfigDict, dataset: Dataset | ArraySource | EncodedSource) -> Dataset:
    """The dataset of a run; what belongs to the data is changed in its `config`."""
    config.data.name, config.model.num_classes = GIVEN, 0
    if isinstance(dataset, Dataset):
        size, _, channels = dataset.train.image_shape
        config.data.image_size, config.data.channels = size, channels
        return dataclasses.replace(dataset, name=GIVEN)
    checked_source(dataset, "dataset")
    config.data.channels = 0
    for part in ("validation", "test"):
        if not 0 < config.data[part] < 1:  # a number of examples, or none, of the config's own set
            config.data[part] = 0.1
    return data.load(config.data, source=dataset)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a run's evaluations, in their order, from its metrics.jsonl."""
    rows = [json.loads(line) for line in read_regular(path).splitlines()]
    return [row for row in rows if "protocol" in row]
