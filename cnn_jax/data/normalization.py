"""Normalisation: grey levels 0 to 255 -> what the net sees, by statistics of the training split.

They are computed once a run, by a pass that decodes all of the split, and kept in the workdir, so
that a run that goes on, and an evaluation, see images as training did, and a streamed set is not
decoded for them again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Float64
from ml_collections import ConfigDict

from cnn_jax.data import augment
from cnn_jax.data.augment.compose import Augment
from cnn_jax.data.dataset import Task
from cnn_jax.data.images.lazy_images import LazyImages, image_chunks
from cnn_jax.errors import UserError, not_written, unknown
from cnn_jax.runtime.array_files import read_npz

FILE = "constants.npz"
NORMALISATIONS = (
    "per_channel",
    "per_pixel_mean",
    "minus_one_to_one",
    "lecun1998",
    "imagenet",
    "none",
    "channel_mean",
    "mean_image",
)
FIXED = ("minus_one_to_one", "lecun1998", "imagenet", "none")  # whatever the images are
# Of ImageNet's training images in [0, 1], as torchvision's and most published weights expect.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Images = np.ndarray | LazyImages  # uint8 [N, H, W, C]; lazy ones are decoded, once a pass
# Of all images, of each channel, or an image.
Shift = np.float32 | Float32[np.ndarray, " *c"] | Float32[np.ndarray, "h w c"]
Scale = np.float32 | Float32[np.ndarray, " *s"]  # one for all channels, or c


@dataclasses.dataclass(frozen=True)
class InputStatistics:
    """In grey levels: an image becomes `(image - shift) * scale`."""

    shift: Shift
    scale: Scale
    colours: Float32[np.ndarray, "c c"] | None = None  # of pca_lighting, where it is in use

    @classmethod
    def of(cls, config: ConfigDict, train_images: Images) -> InputStatistics:
        """Those of the config's normalisation and augmentation."""
        shift, scale = shift_and_scale(config.data.normalisation, train_images)
        colours = augment.uses_colours(config.augment)
        return cls(shift, scale, principal_colours(train_images) if colours else None)

    @staticmethod
    def reads_images(config: ConfigDict) -> bool:
        """Whether `of` decodes all of the training images."""
        return config.data.normalisation not in FIXED or augment.uses_colours(config.augment)

    def normalise(self, images: Float[Array | np.ndarray, "*b h w c"]) -> Float[Array, "*b h w c"]:
        """Images in grey levels -> as the net sees them.

        Of images of another size than the mean image, each channel's mean of it is subtracted.
        """
        shift = self.shift
        if shift.ndim == 3 and shift.shape[:2] != images.shape[-3:-1]:
            shift = shift.mean((0, 1))
        shift, scale = (jax.lax.broadcast_to_rank(v, images.ndim) for v in (shift, self.scale))
        return jnp.asarray((images - shift) * scale)

    def make_augment(
        self, config: ConfigDict, image_shape: tuple[int, int, int], task: Task
    ) -> Augment:
        """The transforms of `config.augment`, about the border of `config.augment_border`."""
        border = np.asarray(self.shift) if config.get("augment_border") == "mean" else None
        return augment.compose(config.augment, image_shape, task, self.colours, border)

    @classmethod
    def read(cls, folder: Path) -> InputStatistics | None:
        """Those that a run has kept; None where there are none."""
        path = folder / FILE
        if not path.exists():
            return None
        try:
            return cls(**read_npz(path))
        except (OSError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is damaged ({error}): remove it, and it is computed again"
            ) from error

    def digest(self) -> str:
        """A hash of the values, whatever file holds them."""
        found = hashlib.sha256()
        for name, value in vars(self).items():
            if value is not None:
                found.update(f"{name} {value.dtype} {value.shape} ".encode() + value.tobytes())
        return found.hexdigest()

    def write(self, folder: Path) -> None:
        """Atomically."""
        arrays = {name: value for name, value in vars(self).items() if value is not None}
        path, temporary = folder / FILE, folder / f".{FILE}"
        try:
            with open(temporary, "wb") as stream:
                np.savez(stream, **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise not_written(FILE, path, error) from error


def shift_and_scale(kind: str, train_images: Images) -> tuple[Shift, Scale]:
    """Of `(grey level - shift) * scale`, by exact sums over the images.

    - `per_channel`: each channel has mean 0 and standard deviation 1 over the training split.
    - `per_pixel_mean`: the mean image is subtracted, then one standard deviation for all.
    - `mean_image`: the mean image is subtracted, and grey levels they stay (Krizhevsky et al. 2012,
      sec. 2; He et al. 2015, sec. 3.4). LRN and weights from N(0, 0.01) are made for this scale.
    - `channel_mean`: the mean of each channel is subtracted, and grey levels they stay (Simonyan &
      Zisserman 2014, sec. 2.1).
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
            raise UserError(
                "data.normalisation='imagenet' is for three channels; choose data.channels=3"
            )
        shift, scale = 255 * np.array(IMAGENET_MEAN), 1 / (255 * np.array(IMAGENET_STD))
    elif kind == "per_channel":
        mean, square, _ = moments(train_images)
        std = np.sqrt(np.maximum(square - mean**2, 0))
        shift, scale = mean, 1 / np.where(std > 0, std, 1)
    elif kind == "channel_mean":
        shift, scale = moments(train_images)[0], 1.0
    elif kind == "mean_image":
        shift, scale = moments(train_images)[2], 1.0
    else:
        _, square, shift = moments(train_images)
        scale = 1 / np.sqrt(max(square.mean() - (shift**2).mean(), 1e-12))
    return np.float32(shift), np.float32(scale)


def moments(
    images: Images,
) -> tuple[Float64[np.ndarray, " c"], Float64[np.ndarray, " c"], Float64[np.ndarray, "h w c"]]:
    """Mean and mean square of each channel, and the mean image, of exact sums."""
    levels, channels = np.arange(256, dtype=np.float64), range(images.shape[-1])
    counts = np.zeros((len(channels), 256), np.int64)
    total = np.zeros(images.shape[1:], np.int64)
    for chunk in image_chunks(images, "mean and standard deviation"):
        counts += np.stack([np.bincount(chunk[..., c].ravel(), minlength=256) for c in channels])
        total += chunk.sum(0, dtype=np.int64)
    frequencies = counts / counts.sum(1, keepdims=True)
    return frequencies @ levels, frequencies @ levels**2, total / len(images)


def principal_colours(images: Images) -> Float32[np.ndarray, "c c"]:
    """Columns p_i l_i: eigenvectors of the pixels' covariance times eigenvalues.

    The sums are of whole numbers, exact. An eigenvalue has the unit of a square, and the paper
    (AlexNet, sec. 4.1) does not name it: here it is that of pixels in 0 to 1 (in grey levels a
    tenth would be hundreds of levels).
    """
    channels = images.shape[-1]
    total, square = np.zeros(channels), np.zeros((channels, channels))
    for chunk in image_chunks(images, "principal colours"):
        for part in np.array_split(chunk, -(-chunk.size // 2**24)):
            pixels = part.reshape(-1, channels).astype(np.float64)
            total += pixels.sum(0)
            square += pixels.T @ pixels
    count = math.prod(images.shape[:-1])
    covariance = square / count - np.outer(total, total) / count**2
    values, vectors = np.linalg.eigh(covariance / 255**2)
    return (255 * vectors * values).astype(np.float32)
