"""A compiled library on disk, beside the hash of what was written.

A damaged one ends the process by a signal, at every start, so it is loaded only where its hash
agrees; and it is code, so it is kept only where nobody else can write.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import time
from pathlib import Path

from cnn_jax.runtime.regular_files import read_regular

LARGEST = 256 << 20  # bytes
UNUSED_DAYS = 90


def private_folder(folder: Path) -> Path:
    """`folder`, made where it is missing; raises `OSError` where others can write to it."""
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = place.stat()
        if status.st_uid != os.geteuid():
            raise PermissionError(0, "belongs to another user: remove it", str(place))
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            advice = f"can be written by other users: chmod go-w {place}"
            raise PermissionError(0, advice, str(place))
    if not os.access(folder, os.W_OK):
        raise PermissionError(0, "cannot be written", str(folder))
    return folder


def hash_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def is_whole(path: Path) -> bool:
    """Whether `path` is what was written; says so on stderr where something else is there."""
    if not os.path.lexists(path):
        return False
    try:
        digest = hashlib.sha256(read_regular(path, LARGEST)).hexdigest()
        if read_regular(hash_file(path), 1024) == f"{digest}  {path.name}\n".encode():
            for file in (path, hash_file(path)):
                os.utime(file)  # in use
            return True
    except OSError:
        pass
    print(f"warning: {path} is not what was written: it is compiled anew", file=sys.stderr)
    return False


def keep(fresh: Path, path: Path) -> None:
    """Moves a new library to `path`, each file at once: another process may be at it too."""
    content = fresh.read_bytes()
    sums = fresh.with_suffix(".sha256")
    sums.write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    for source, target in ((sums, hash_file(path)), (fresh, path)):
        source.chmod(0o600)
        with open(source, "rb") as stream:
            os.fsync(stream.fileno())
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        source.replace(target)


def remove_unused(folder: Path) -> None:
    """Removes libraries, and what killed compilations left, that nobody has used for long."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for path in folder.iterdir():
        try:
            if path.lstat().st_mtime >= oldest:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:
            continue  # another process has removed it
