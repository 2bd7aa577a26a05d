"""The hashes of a folder's files, kept in `SHA256SUMS`, and what they say is wrong with it."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from pathlib import Path

from cnn_jax.errors import UserError
from cnn_jax.runtime.regular_files import open_regular, read_regular

CHECKSUMS = "SHA256SUMS"
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # all else says nothing about the file


def file_hash(path: Path) -> str:
    with open(open_regular(path, sys.maxsize), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksums_of(folder: Path) -> dict[str, str]:
    """{name relative to `folder`: hash} of all files under it but `SHA256SUMS`, sorted.

    Raises `OSError` for a folder that cannot be listed, which `rglob` would leave out.
    """
    walk = os.walk(folder, onerror=raise_error)
    paths = (Path(place) / name for place, _, names in walk for name in names)
    files = sorted(p for p in paths if is_there(p) and p.name.lstrip(".") != CHECKSUMS)
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}


def raise_error(error: OSError) -> None:
    raise error


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; raises `OSError` where that cannot be known."""
    try:
        path.stat()
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return False
    return True


def checksums_text(sums: dict[str, str]) -> str:
    """The form of sha256sum, with a comment at its end that is the hash of the lines above."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    return f"{lines}# {hashlib.sha256(lines.encode()).hexdigest()}\n"


def write_checksums(folder: Path) -> None:
    """Writes `SHA256SUMS` of all files under `folder`, atomically."""
    temporary = folder / f".{CHECKSUMS}"
    with open(temporary, "w") as stream:
        stream.write(checksums_text(checksums_of(folder)))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / CHECKSUMS)


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a save, by name, or None when they are those written.

    Raises `UserError` where they cannot be read now, by this user or this process: they may well
    be whole.
    """
    try:
        text = read_regular(folder / CHECKSUMS).decode(errors="replace")
        there = checksums_of(folder)
    except OSError as error:
        path = error.filename or folder
        if error.errno in (*ABSENT, errno.EINVAL):  # EINVAL: of `open_regular`
            return f"{path} is " + ("missing" if error.errno in ABSENT else "no regular file")
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): nothing was changed; "
            "mend that, and give the same command again"
        ) from error
    lines = text.split("\n")[:-2]
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if text != checksums_text(wanted):
        return f"{folder / CHECKSUMS} has changed: it is not what was written"
    for name in {**wanted, **there}:
        if name not in there:
            return f"{folder / name} is missing"
        if name not in wanted:
            return f"{folder / name} is not one of the files that were saved"
        if there[name] != wanted[name]:
            return f"{folder / name} has changed: its SHA-256 is not the one saved with it"
    return None
