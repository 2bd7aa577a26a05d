"""BatchNorm's statistics that a report was made with, beside it, for whatever loads the run.

Tensors by path ("conv1/mean"), and the step of the weights that they belong to.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cnn_jax.errors import UserError, not_written
from cnn_jax.runtime.regular_files import read_regular

FILE = "population_statistics.safetensors"
STEP = "step"


def save(folder: Path, step: int, statistics: dict[str, np.ndarray]) -> None:
    """Writes them whole or not at all; raises `UserError`."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    tensors = {path: np.ascontiguousarray(value, np.float32) for path, value in statistics.items()}
    partial = folder / f".{FILE}.partial"
    try:
        save_file(tensors | {STEP: np.array([step], np.int64)}, partial)
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, folder / FILE)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise not_written(FILE, folder / FILE, error) from error


def read(folder: Path, step: int) -> dict[str, np.ndarray] | None:
    """Those of the weights after `step` updates; None where the folder has none of these."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = folder / FILE
    if not path.exists():
        return None
    try:
        tensors = load(read_regular(path))
        found = int(tensors.pop(STEP)[0])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}): remove it, and evaluate the run again"
        ) from error
    return tensors if found == step else None
