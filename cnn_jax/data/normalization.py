"""What is computed over the training split: once a run, by a pass that decodes all of it.

It is kept in the workdir, so that a run that goes on, and an evaluation, see images as training
did, and a streamed set is not decoded for it again.
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import augment
from cnn_jax.data.augment.colour import principal_colours
from cnn_jax.data.whitening import Images, constants
from cnn_jax.errors import UserError, not_written

FILE = "constants.npz"


@dataclasses.dataclass(frozen=True)
class InputStatistics:
    """Float32, in grey levels: an image becomes `(image - shift) * scale`."""

    shift: np.ndarray  # [], [C] or, for a mean image, [H, W, C]
    scale: np.ndarray  # [] or [C]
    colours: np.ndarray | None = None  # [C, C] of pca_lighting, where it is in use

    @classmethod
    def of(cls, config: ConfigDict, train_images: Images) -> InputStatistics:
        """Those of the config's normalisation and augmentation."""
        shift, scale = constants(config.data.normalisation, train_images)
        lights = augment.uses(config.augment, "pca_lighting")
        return cls(shift, scale, principal_colours(train_images) if lights else None)

    def normalise(self, images: jax.Array) -> jax.Array:
        """float32 [B, H, W, C] in grey levels -> as the net sees them."""
        return (images - self.shift) * self.scale

    @classmethod
    def read(cls, folder: Path) -> InputStatistics | None:
        """Those that a run has kept; None where there are none."""
        path = folder / FILE
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**arrays)
        except (OSError, EOFError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} is damaged ({error}): remove it, and it is computed again"
            ) from error

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
