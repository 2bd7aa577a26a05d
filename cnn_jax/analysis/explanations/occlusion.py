"""Occlusion: Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2014, 4.2.

A patch in the mean colour slides over the image; what the class loses by it is what it saw there.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.explanations.forward import logits_of
from cnn_jax.models.variables import Tree
from cnn_jax.runtime import sharding
from cnn_jax.runtime.progress import ProgressBar

BATCH = 64  # occluded images that go through the net together


def patch_corners(side: int, patch: int, stride: int) -> np.ndarray:
    """Where patches begin along an axis: every `stride`, and one at the end."""
    return np.unique([*range(0, max(1, side - patch + 1), stride), max(0, side - patch)])


def occlusion(
    model: nn.Module,
    variables: Tree,
    image: np.ndarray,
    class_number: int,
    patch: int = 0,
    stride: int = 0,
    fill: float | np.ndarray = 0.0,
) -> np.ndarray:
    """How much of the class's probability is lost, the mean over the patches on a pixel, [H, W].

    `image` [H, W, C] as the net sees it, where 0 is the training images' mean by most
    normalisations. By default a patch is a quarter of the shorter side, and slides by a quarter of
    itself.
    """
    height, width, _ = image.shape
    patch = patch or max(1, min(height, width) // 4)
    stride = stride or max(1, patch // 4)
    rows, columns = (patch_corners(side, patch, stride) for side in (height, width))
    corners = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)

    @sharding.jit_forward
    def probability(image: jax.Array, corners: jax.Array) -> jax.Array:
        y, x = jnp.arange(height), jnp.arange(width)
        top, left = corners[:, :1], corners[:, 1:]
        covers_row = (y[None] >= top) & (y[None] < top + patch)
        covers_column = (x[None] >= left) & (x[None] < left + patch)
        covered = (covers_row[:, :, None] & covers_column[:, None, :])[..., None]
        filling = jnp.broadcast_to(jnp.asarray(fill, jnp.float32), image.shape)
        images = jnp.where(covered, filling[None], image[None])
        return jax.nn.softmax(logits_of(model, variables, images))[:, class_number]

    # The first corner lies outside: nothing is covered. The last batch is filled up with it.
    outside = np.full((1, 2), max(height, width))
    padded = np.concatenate([outside, corners, np.repeat(outside, -(1 + len(corners)) % BATCH, 0)])
    values = []
    with ProgressBar("occlusion", len(padded)) as bar:
        for part in np.split(padded, len(padded) // BATCH):
            values.append(np.asarray(probability(jnp.asarray(image), jnp.asarray(part))))
            bar.advance(BATCH)
    whole, *occluded = np.concatenate(values)[: 1 + len(corners)]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for (top, left), value in zip(corners, occluded, strict=True):
        total[top : top + patch, left : left + patch] += whole - value
        count[top : top + patch, left : left + patch] += 1
    return total / count
