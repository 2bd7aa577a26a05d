"""Files that a user names, opened only where they are files.

A pipe would be waited for, a device read without end, and a file with holes of many gigabytes
taken into memory, all by a name in a folder of images.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

LARGEST_IMAGE = 256 << 20  # bytes: fifty megapixels, not compressed at all, and room to spare


def open_regular(path: str | os.PathLike, max_bytes: int = LARGEST_IMAGE) -> int:
    """A descriptor to read from; raises `OSError` for what is no file, or a larger one."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        if status.st_size > max_bytes:
            reason = f"{status.st_size:,} bytes, more than {max_bytes:,}"
            raise OSError(errno.EFBIG, reason, os.fspath(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def regular(path: str, flags: int) -> int:
    """The `opener` of a file that is written: raises `OSError` for what is there and is none."""
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        # A pipe that nobody reads, a socket; a link to what is not there.
        if error.errno == errno.ENXIO or os.path.islink(path):
            raise OSError(errno.EINVAL, "not a regular file", path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return descriptor


def read_regular(path: str | Path, max_bytes: int = LARGEST_IMAGE, first: int = -1) -> bytes:
    """The content of a file; raises `OSError` for what is no file, or a larger one.

    Of the `first` bytes alone, where they are not negative.
    """
    # Without a buffer: a third of what Path.read_bytes costs.
    with open(open_regular(path, max_bytes), "rb", buffering=0) as file:
        if first > 0:  # room for so many is made at once
            first = min(first, os.fstat(file.fileno()).st_size + 1)
        return file.read(first)


def read_json_object(path: str | Path, *keys: str) -> dict[str, Any]:
    """The values of a JSON file, which has at least these keys.

    Raises `OSError`, or `ValueError` that says what it holds: files of runs and weights come from
    anywhere, and this ends up in the words of an error.
    """
    try:
        values = json.loads(read_regular(path))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError(f"it holds a {type(values).__name__}, not values by key")
    for key in keys:
        if key not in values:
            raise ValueError(f"it has no key {key!r}")
    return values
