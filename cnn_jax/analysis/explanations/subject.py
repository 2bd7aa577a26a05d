"""The trained net that is explained, with its classes and images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.analysis.explanations.forward import logits_of
from cnn_jax.analysis.explanations.grad_cam import map_shapes
from cnn_jax.analysis.explanations.patches import BestPatches, make_maps_of
from cnn_jax.analysis.trained_net import TrainedNet, load_trained_net
from cnn_jax.data.dataset import SplitName
from cnn_jax.data.images.decode import BadImageError, decode
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.errors import UserError
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import sharding
from cnn_jax.runtime.progress import track
from cnn_jax.runtime.regular_files import read_regular

BATCH = 64
MOST_PATCHES = 9  # of a map
MOST_STAGES = 10  # whose maps are shown


@dataclasses.dataclass(frozen=True)
class Subject:
    """A net of classes, and the split of its data that is reported on."""

    net: TrainedNet

    @property
    def model(self) -> nn.Module:
        return self.net.experiment.step_spec.model

    @property
    def variables(self) -> dict[str, Tree]:
        return self.net.variables

    @property
    def net_name(self) -> str:
        """Registered."""
        return self.net.experiment.config.model.name

    @property
    def classes(self) -> tuple[str, ...]:
        """The names; a net of more outputs has numbers for the others."""
        names = self.net.experiment.dataset.task.classes
        more = range(len(names), self.net.experiment.config.model.num_classes)
        return names + tuple(map(str, more))

    @property
    def split(self) -> SplitName:
        return self.net.experiment.dataset.reported

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.net.experiment.dataset.train.image_shape

    @property
    def title(self) -> str:
        config = self.net.experiment.config
        return f"{config.model.name} on {config.data.name}"

    def image(self, row: int) -> np.ndarray:
        """uint8 [H, W, C] of the split, as the net sees it."""
        split = self.net.experiment.dataset.split(self.split)
        out = np.empty(self.image_shape, np.uint8)
        split.read_into(out, row)
        return out

    def first(self, count: int) -> tuple[np.ndarray, list[str]]:
        """(images uint8 [B, H, W, C], names) of the split's first examples."""
        split = self.net.experiment.dataset.split(self.split)
        rows = range(min(count, len(split)))
        task = self.net.experiment.dataset.task
        names = [f"{self.split} {row}: {task.classes[int(split.labels[row])]}" for row in rows]
        return np.stack([self.image(row) for row in rows]), names

    def read(self, paths: Sequence[str]) -> tuple[np.ndarray, list[str]]:
        """(images uint8 [B, H, W, C], names) of files; `UserError` naming one that is none."""
        config = self.net.experiment.config.data
        resize = ResizeSpec.of(config)
        resize = dataclasses.replace(resize, channels=self.image_shape[-1])
        images = []
        for path in paths:
            try:
                content = read_regular(path)
                images.append(resize(decode(content, resize.min_side, config.max_pixels)))
            except OSError as error:
                raise UserError(f"{path}: {error.strerror or error}") from error
            except BadImageError as error:
                raise UserError(f"{path} is no image that can be read: {error}") from error
        return np.stack(images), [Path(path).name for path in paths]

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, C] -> float32, as the net sees them."""
        normalise = sharding.jit_forward(self.net.experiment.step_spec.normalise)
        return np.asarray(normalise(images.astype(np.float32)))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, C] -> float32 [B, K]."""

        @sharding.jit_forward
        def run(variables: Tree, images: jax.Array) -> jax.Array:
            return jax.nn.softmax(logits_of(self.model, variables, images))

        return np.asarray(run(self.variables, jnp.asarray(self.normalise(images))))

    def map_stages(self) -> list[str]:
        """Top-level layers with maps, from the image to the head, evenly chosen where many."""
        wide = [s for s, shape in map_shapes(self.model, self.image_shape).items() if shape[0] > 1]
        top = [stage for stage in wide if "/" not in stage]
        if not top:
            raise UserError("the net has no maps to show: it is dense throughout")
        rows = np.unique(np.linspace(0, len(top) - 1, MOST_STAGES).round().astype(int))
        return [top[row] for row in rows]

    def best_patches(self, stage: str) -> BestPatches:
        """Those of a stage's maps over the split."""
        split = self.net.experiment.dataset.split(self.split)
        best, maps_of = None, make_maps_of(self.model, [stage])
        for first in track(range(0, len(split), BATCH), f"maps of {stage}"):
            rows = range(first, min(first + BATCH, len(split)))
            images = np.stack([self.image(row) for row in rows])
            maps = maps_of(self.variables, self.normalise(images))[stage]
            best = best or BestPatches.empty(maps.shape[-1], min(MOST_PATCHES, len(split)))
            best = best.join(maps, first)
        assert best is not None
        return best


def load_subject(config: ConfigDict | None, workdir: str | None, weights: str | None) -> Subject:
    """The net of a workdir, by its own config unless one is given, or of imported weights."""
    if config is None and not (workdir or weights):
        raise UserError("name the net: --workdir=RUN, or --weights=DIR with a --config")
    net = load_trained_net(config, workdir, weights)
    if net.experiment.dataset.task.kind != "classification":
        name = net.experiment.dataset.name
        raise UserError(f"data.name={name!r} has no classes, which explanations are of")
    return Subject(net)
