"""Normalisation: grey levels 0 to 255 -> what the net sees, by constants of the training split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.lazy_images import LazyImages, refuse
from cnn_jax.errors import UserError, unknown

Images = np.ndarray | LazyImages
NORMALISATIONS = (
    "per_channel",
    "per_pixel_mean",
    "minus_one_to_one",
    "lecun1998",
    "imagenet",
    "none",
)
# Of ImageNet's training images in [0, 1], as torchvision's and most published weights expect.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def constants(kind: str, train_images: Images) -> tuple[np.ndarray, np.ndarray]:
    """(shift, scale) of `(grey level - shift) * scale`, float32, exact sums over the images.

    `train_images` are an array or streamed photographs, which one pass decodes.

    - `per_channel`: each channel has mean 0 and standard deviation 1 over the training split.
    - `per_pixel_mean`: the mean image is subtracted, then one standard deviation for all
      (Krizhevsky et al. 2012 and He et al. 2015 subtract only; their scale is grey levels).
    - `minus_one_to_one`: 0 to 255 becomes -1 to 1.
    - `lecun1998`: background -0.1, ink 1.175 (LeCun et al. 1998, sec. II-B).
    - `imagenet`: by the channel means and deviations that most published weights expect.
    - `none`: 0 to 1.
    """
    if kind not in NORMALISATIONS:
        raise unknown("data.normalisation", kind, NORMALISATIONS)
    if kind == "none":
        shift, scale = 0.0, 1 / 255
    elif kind == "minus_one_to_one":
        shift, scale = 127.5, 1 / 127.5
    elif kind == "lecun1998":
        shift, scale = 0.1 * 255 / 1.275, 1.275 / 255
    elif kind == "imagenet":
        if train_images.shape[-1] != 3:
            raise UserError("data.normalisation='imagenet' is for three channels: data.channels=3")
        shift, scale = 255 * np.array(IMAGENET_MEAN), 1 / (255 * np.array(IMAGENET_STD))
    elif kind == "per_channel":
        mean, square, _ = moments(train_images)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        shift, scale = mean, 1 / np.where(deviation > 0, deviation, 1)
    else:
        _, square, shift = moments(train_images)
        scale = 1 / np.sqrt(max(square.mean() - (shift**2).mean(), 1e-12))
    return np.float32(shift), np.float32(scale)


def moments(images: Images) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and mean square of each channel [C], and the mean image [H, W, C], of exact sums."""
    levels, channels = np.arange(256, dtype=np.float64), range(images.shape[-1])
    counts = np.zeros((len(channels), 256), np.int64)
    total = np.zeros(images.shape[1:], np.int64)
    for part in parts(images):
        counts += np.stack([np.bincount(part[..., c].ravel(), minlength=256) for c in channels])
        total += part.sum(0, dtype=np.int64)
    share = counts / counts.sum(1, keepdims=True)
    return share @ levels, share @ levels**2, total / len(images)


def parts(images: Images) -> Iterator[np.ndarray]:
    """All images as arrays [n, H, W, C]; raises `UserError` that names the bad ones."""
    if isinstance(images, np.ndarray):
        yield images
        return
    bad = []
    for row, image in enumerate(images.decoded(range(len(images)), "mean and standard deviation")):
        if isinstance(image, BadImageError):
            bad.append((images.name(row), str(image)))
        else:
            yield image[None]
    refuse(bad, len(images), "training split", skip=False)
