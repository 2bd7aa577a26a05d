"""Do a method's pictures depend on the weights? Adebayo et al., "Sanity checks for saliency maps",
NeurIPS 2018, sec. 3.1: cascading randomisation.

From the head down to the image, one stage after another is drawn at random again, and the maps are
compared with those of the trained net. A method whose maps stay as they were shows the image, not
what the net has learnt. The paper compares by eye, rank correlation and SSIM; a verdict needs a
limit, and ours is LIMIT on both, of absolute values, once all weights are random.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from cnn_jax.models.variables import Tree, divide, fresh_variables, merge
from cnn_jax.runtime.progress import track
from cnn_jax.transfer.freezing import AUXILIARY_PREFIX, NetOutline, stage_name

LIMIT = 0.5
# (model, variables, images, classes) -> maps [B, H, W] or [B, H, W, C]
Method = Callable[[nn.Module, Tree, Any, Any], np.ndarray]


@dataclasses.dataclass(frozen=True)
class SanityRow:
    """How alike the maps are when the stages from the head down to `stage` are random."""

    stage: str
    rank_correlation: float  # Spearman's, of absolute values, the mean over the images
    ssim: float  # of absolute values, each map from 0 to 1


@dataclasses.dataclass(frozen=True)
class SanityCheck:
    """The rows from the head to the image, and what follows."""

    rows: tuple[SanityRow, ...]

    @property
    def passes(self) -> bool:
        """Whether the maps of a net of random weights are others."""
        last = self.rows[-1]
        return max(last.rank_correlation, last.ssim) < LIMIT

    @property
    def verdict(self) -> str:
        last = self.rows[-1]
        words = "passes: its maps change" if self.passes else "fails: its maps stay alike"
        return (
            f"{words} when all weights are drawn at random (rank correlation "
            f"{last.rank_correlation:.2f}, SSIM {last.ssim:.2f}; limit {LIMIT})"
        )


def cascade(
    model: nn.Module, variables: Tree, image_shape: tuple[int, ...], seed: int = 0
) -> Iterator[tuple[str, Tree]]:
    """(stage, variables in which it and all above it are as at the start of a training)."""
    fresh = fresh_variables(model, seed, image_shape)
    stages = [
        stage
        for stage in NetOutline.of(model, image_shape).stages
        if not stage.startswith(AUXILIARY_PREFIX)
    ]
    own = {name: variables[name] for name in fresh}
    for i in range(len(stages) - 1, -1, -1):
        above = set(stages[i:])

        def is_random(path: str, above: set[str] = above) -> bool:
            return stage_name(path.split("/")[1]) in above

        parts = [p for p in (divide(fresh, is_random)[0], divide(own, is_random)[1]) if p]
        yield stages[i], merge(*parts) | {name: {} for name in fresh if not fresh[name]}


def check(
    method: Method,
    model: nn.Module,
    variables: Tree,
    images: np.ndarray,
    classes: np.ndarray,
    seed: int = 0,
) -> SanityCheck:
    """The check of a method on images [B, H, W, C]; the classes stay those of the trained net."""
    steps = list(cascade(model, variables, images.shape[1:], seed))
    before = as_maps(method(model, variables, images, classes))
    rows = []
    for stage, random in track(steps, "randomising"):
        after = as_maps(method(model, random, images, classes))
        pairs = list(zip(before, after, strict=True))
        ranks = float(np.mean([rank_correlation(a, b) for a, b in pairs]))
        rows.append(SanityRow(stage, ranks, float(np.mean([ssim(a, b) for a, b in pairs]))))
    return SanityCheck(tuple(rows))


def as_maps(values: np.ndarray) -> np.ndarray:
    """The absolute value at each position, [B, H, W]; of several channels the largest."""
    values = np.abs(values)
    return values.max(-1) if values.ndim == 4 else values


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's; 0 where one of the maps is the same everywhere."""
    ranks = [average_ranks(x) for x in (a, b)]
    centred = [rank - rank.mean() for rank in ranks]
    norm = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float((centred[0] * centred[1]).sum() / norm) if norm else 0.0


def average_ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; equal ones share their mean."""
    _, place, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, over windows of 7 pixels, each map scaled to 0 ... 1."""
    import dm_pix

    scaled = [(x - x.min()) / (np.ptp(x) or 1.0) for x in (a, b)]
    size = min(7, *a.shape)
    first, second = (jnp.asarray(x, jnp.float32)[..., None] for x in scaled)
    return float(dm_pix.ssim(first, second, filter_size=size))
