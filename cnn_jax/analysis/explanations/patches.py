"""What a net's units look for: first-layer filters, maps of an image, patches that excite most.

Patches: Girshick et al., "Rich feature hierarchies for accurate object detection", 2014, sec. 3.1,
after Zeiler & Fergus 2014: of many images, those whose map is highest somewhere, cut to what that
position sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import ops
from cnn_jax.analysis.stages import Windows, summarize
from cnn_jax.errors import UserError
from cnn_jax.models.variables import Tree, flatten
from cnn_jax.runtime import sharding
from cnn_jax.transfer.features import at_points, capture


def first_filters(model: nn.Module, variables: Tree, image_shape: tuple[int, ...]) -> np.ndarray:
    """The kernels of the first convolution, [h, w, channels, filters]; `UserError` without one."""
    kernels = flatten(variables["params"])
    height, width, channels = image_shape
    for layer in summarize(model, (height, width, channels)).layers:
        kernel = kernels.get(f"{layer.path}/kernel")
        if kernel is not None and kernel.ndim == 4:
            return np.asarray(kernel, np.float32)
    raise UserError("the net has no convolution, and so no filters to show")


def make_maps_of(
    model: nn.Module, stages: Iterable[str]
) -> Callable[[Tree, np.ndarray], dict[str, np.ndarray]]:
    """(variables, images) -> {stage: its maps [B, h, w, c]}, compiled."""
    stages = list(stages)

    @sharding.jit_forward
    def run(variables: Tree, images: jax.Array) -> dict[str, jax.Array]:
        with ops.reference_ops():
            captured = capture(model, variables, images, at_points(stages))[1]
        return {name: captured[name].astype(jnp.float32) for name in stages}

    return lambda variables, images: jax.device_get(run(variables, jnp.asarray(images)))


@dataclasses.dataclass(frozen=True)
class BestPatches:
    """For each of C maps the `most` images in which it is highest: [C, most], best first."""

    values: np.ndarray  # float32
    images: np.ndarray  # which image
    rows: np.ndarray  # where in the map
    columns: np.ndarray

    @classmethod
    def empty(cls, channels: int, most: int) -> BestPatches:
        shape = (channels, most)
        places = (np.full(shape, -1) for _ in range(3))
        return cls(np.full(shape, -np.inf, np.float32), *places)

    def join(self, maps: np.ndarray, first: int) -> BestPatches:
        """With those of the maps [B, h, w, C] of images `first`, `first` + 1, ..."""
        count, height, width, channels = maps.shape
        flat = maps.reshape(count, height * width, channels)
        place = flat.argmax(1)  # [B, C]: one patch an image
        best = np.take_along_axis(flat, place[:, None], 1)[:, 0]
        number = np.broadcast_to(first + np.arange(count)[:, None], place.shape)
        new = (best, number, place // width, place % width)
        old = (self.values, self.images, self.rows, self.columns)
        both = [np.concatenate([o, n.T], 1) for o, n in zip(old, new, strict=True)]
        order = np.argsort(-both[0], axis=1, kind="stable")[:, : self.values.shape[1]]
        return BestPatches(*(np.take_along_axis(x, order, 1) for x in both))


def windows_of_stage(model: nn.Module, image_shape: tuple[int, ...], stage: str) -> Windows | None:
    """What a position of a top-level stage's maps sees of the image; None: all of it."""
    height, width, channels = image_shape
    for found in summarize(model, (height, width, channels)).stages:
        if found.name == stage:
            return found.windows
        for layer in found.layers:
            if layer.path == stage:
                return layer.windows
    return None


def cut(image: np.ndarray, windows: Windows | None, at: tuple[int, int]) -> np.ndarray:
    """The part of an image [H, W, C] that position `at` sees, black beyond the rim."""
    if windows is None:
        return image
    seen = zip(windows, at, strict=True)
    bounds = [(w.jump * p + w.low, w.jump * p + w.high + 1) for w, p in seen]
    sides = image.shape[:2]
    rims = [(max(0, -a), max(0, b - n)) for (a, b), n in zip(bounds, sides, strict=True)]
    padded = np.pad(image, [*rims, (0, 0)])
    (top, bottom), (left, right) = (
        (a + rim[0], b + rim[0]) for (a, b), rim in zip(bounds, rims, strict=True)
    )
    return padded[top:bottom, left:right]
