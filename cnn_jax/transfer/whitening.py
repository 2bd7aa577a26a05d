"""A first layer that whitens the patches of the training images: its kernel comes from them.

Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", sec. 3.2, after Page 2019. Neither
the mean of a patch is subtracted nor is one drawn at random: the first images are taken, whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from cnn_jax.data.normalization import Images
from cnn_jax.errors import UserError

EXAMPLES = 5000  # images whose patches are taken
EPSILON = 5e-4  # added to the eigenvalues
CHUNK = 250  # images at once
Patches = Float[np.ndarray, "n d"]


def patch_moments(
    images: Images, normalise: Callable, height: int, width: int
) -> Float[np.ndarray, "d d"]:
    """The mean of p p^T over all patches p, height x width x C, of normalised images, float64."""
    total, count = 0.0, 0
    for first in range(0, min(len(images), EXAMPLES), CHUNK):
        last = min(first + CHUNK, len(images), EXAMPLES)
        chunk = np.stack([images[row] for row in range(first, last)]).astype(np.float32)
        chunk = np.asarray(normalise(chunk))
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (height, width), (1, 2))
        patches = np.moveaxis(windows, 3, -1).reshape(-1, height * width * chunk.shape[-1])
        patches = patches.astype(np.float64)
        total = total + patches.T @ patches
        count += len(patches)
    return np.asarray(total / count)


def whitening_kernel(
    images: Images, normalise: Callable, shape: tuple[int, ...]
) -> Float[np.ndarray, "h w c o"]:
    """The kernel [h, w, C, 2 h w C]: eigenvectors over the roots of their eigenvalues, +-.

    The largest eigenvalue comes first. Images are uint8 [N, H, W, C], `normalise` is the net's.
    """
    height, width, channels, _ = shape
    values, vectors = np.linalg.eigh(patch_moments(images, normalise, height, width))
    scaled = (vectors / np.sqrt(values + EPSILON))[:, ::-1]
    kernel = np.concatenate([scaled, -scaled], 1)
    return kernel.reshape(height, width, channels, -1).astype(np.float32)


def whitening_values(
    stage: str,
    images: Images,
    normalise: Callable,
    shapes: dict[str, tuple[int, ...]],
) -> dict[str, np.ndarray]:
    """{name: kernel} of the stage that `init.whiten` names; `shapes` are the net's by name."""
    name = f"params/{stage}/kernel"
    shape = shapes.get(name, ())
    if len(shape) != 4 or shape[3] != 2 * np.prod(shape[:3]) or shape[2] != images.shape[-1]:
        fits = [
            path.removeprefix("params/").removesuffix("/kernel")
            for path, s in shapes.items()
            if len(s) == 4 and s[3] == 2 * np.prod(s[:3]) and s[2] == images.shape[-1]
        ]
        raise UserError(
            f"init.whiten={stage!r} is no convolution of the images with twice as many outputs as "
            f"a patch has numbers; choose {' or '.join(fits) or 'model.name=airbench94'}, or None"
        )
    return {name: whitening_kernel(images, normalise, shape)}
