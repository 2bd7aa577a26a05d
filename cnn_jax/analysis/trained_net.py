"""A config's net with trained weights, and what it makes of the images at chosen points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.errors import UserError
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import workdir as workdirs
from cnn_jax.runtime.config_files import config_of_run
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training.experiment import Experiment, make_experiment
from cnn_jax.transfer.features import (
    CapturePoints,
    FeatureFolder,
    cache_key,
    content_hash,
    make_extract_step,
)
from cnn_jax.transfer.freezing import AUXILIARY_PREFIX, NetOutline
from cnn_jax.transfer.initial_weights import InitialWeights

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class TrainedNet:
    """A run whose net has its weights, and where that net can be read."""

    config: ConfigDict  # as it was given
    experiment: Experiment
    points: CapturePoints
    variables: dict[str, Tree]

    @property
    def initial_weights(self) -> InitialWeights:
        assert self.experiment.initial_weights is not None
        return self.experiment.initial_weights

    @property
    def trunk(self) -> tuple[str, ...]:
        """Its stages from the image to the head, without those that only training computes."""
        outline = NetOutline.of(
            self.experiment.step_spec.model, self.experiment.dataset.train.image_shape
        )
        return tuple(s for s in outline.stages if not s.startswith(AUXILIARY_PREFIX))

    def resolve(self, names: Sequence[str]) -> list[str]:
        """The points of the names; raises `UserError` for a head that was not trained."""
        points = self.points.resolve(names)
        random = {name.split("/")[1] for name in self.initial_weights.randomly_initialised}
        if untrained := [point for point in points if point.split("/")[0] in random]:
            raise UserError(f"stage={untrained[0]!r} has no trained weights: it begins fresh")
        return points

    def identity(self, split: SplitName, pooled: bool) -> dict[str, Any]:
        """What the features of a split depend on, beside the points."""
        experiment = self.experiment
        values = workdirs.flat(experiment.config)
        keys = [key for key in values if key.startswith(("model.", "data."))]
        keys = ["dtype", *(key for key in keys if key not in workdirs.FREE_KEYS)]
        splits: dict[SplitName, None] = dict.fromkeys(("train", split))
        return {
            "weights": self.initial_weights.weights.sha256,
            "config": {key: values[key] for key in keys},
            "split": split,
            "images": [content_hash(experiment.dataset.split(name)) for name in splits],
            "pooled": pooled,
        }

    def write_features(
        self, folder: Path, split: SplitName, points: Sequence[str], pooled: bool = True
    ) -> FeatureFolder:
        """The features of a split at some points, into a folder."""
        experiment, spec, shapes = self.experiment, self.experiment.step_spec, {}
        for point in points:
            shape = self.points.shapes[point]
            shapes[point] = shape[-1:] if pooled and len(shape) == 3 else shape
        step = make_extract_step(spec.model, spec.normalise, points, pooled, experiment.devices)
        about = {
            **self.identity(split, pooled),
            "source": self.initial_weights.weights.source,
            "classes": list(experiment.dataset.task.classes),
            "versions": workdirs.versions(),
        }
        features = FeatureFolder(Path(folder))
        part, batches = experiment.dataset.split(split), experiment.evaluator(split).batches
        features.write(step, self.variables, batches, part, shapes, about)
        return features

    def cached_features(self, root: Path, split: SplitName, points: Sequence[str]) -> FeatureFolder:
        """The pooled features of a split, from the cache or by one pass over its images."""
        if not len(self.experiment.dataset.split(split)):
            name = self.experiment.dataset.name
            raise UserError(f"data.name={name!r} has no {split} split, which is needed here")
        features = FeatureFolder(root.expanduser() / cache_key(self.identity(split, True)))
        cached = features.header.get("points", {})
        if missing := [point for point in points if point not in cached]:
            self.write_features(features.folder, split, missing)
        return features


def load_trained_net(
    config: ConfigDict | None,
    workdir: str | None,
    weights: str | None,
    dataset: Dataset | None = None,
) -> TrainedNet:
    """The net of a config, or of a workdir, with the weights of that or of an imported folder."""
    if config is None and workdir and not weights:
        config = config_of_run(Path(workdir))  # which says it where there is none
    if config is None:
        raise UserError(
            "--config is missing: name a file, like --config=configs/lenet5.py, or the --workdir "
            "of a run, which has its own"
        )
    if workdir and weights:
        raise UserError("--workdir and --weights are both given: choose one")
    path = workdir or weights or config.init["from"]
    if not path:
        raise UserError("name the weights: --workdir=RUN or --weights=DIR")
    changed = config.copy_and_resolve_references()
    if workdir or weights:
        changed.init.head = "auto"  # the config's is of the weights that training began with
    changed.init["from"], changed.freeze, changed.unfreeze = path, (), ()
    changed.optimizer.groups, changed.optimizer.layer_decay = (), 1.0
    with ProgressBar("reading the data", 2) as bar:
        experiment = make_experiment(changed, dataset)
        bar.advance(description="opening the net")
        shape = experiment.dataset.train.image_shape
        points = CapturePoints.of(experiment.step_spec.model, shape, config.model.name)
        variables = experiment.compiled.init().state.variables
    return TrainedNet(config, experiment, points, variables)


def as_vectors(features: np.ndarray) -> np.ndarray:
    """[N, ...] -> [N, D]."""
    return features.reshape(len(features), -1)
