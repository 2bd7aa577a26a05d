"""NumPy's files from anywhere: .npy and .npz, no pickles, and no more memory than they are worth.

An archive of a megabyte can hold gigabytes, and a header claim any shape.
"""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cnn_jax.runtime.regular_files import LARGEST_IMAGE, read_regular

# What NumPy and zipfile raise for bytes that are no arrays.
DAMAGE = (
    *(EOFError, TypeError, ValueError, KeyError, MemoryError, ArithmeticError, RecursionError),
    *(RuntimeError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


@contextmanager
def as_damage() -> Iterator[None]:
    """Raises `ValueError` in few words for all of it."""
    try:
        with np.errstate(over="raise"):  # of a shape without end
            yield
    except DAMAGE as error:
        raise ValueError(f"{error}".partition("\n")[0][:200] or type(error).__name__) from error


def read_npz(path: Path, most: int = LARGEST_IMAGE) -> dict[str, np.ndarray]:
    """The arrays by name; raises `OSError`, or `ValueError` for what is none or over `most`."""
    content = read_regular(path, most)
    with as_damage():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
        if declared > most:
            raise ValueError(f"it claims {declared:,} bytes, more than {most:,}")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
                raise ValueError(f"{name!r} is no array of numbers")
        return arrays


def read_npy(path: Path) -> np.ndarray:
    """The array, mapped from its file: no larger than that; raises `OSError` or `ValueError`."""
    with as_damage():
        return np.lib.format.open_memmap(path, "r")
