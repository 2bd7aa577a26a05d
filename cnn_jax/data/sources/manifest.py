"""The SHA-256 of every file of a source, to hold them to their bits."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from cnn_jax.data.dataset import EncodedSource
from cnn_jax.data.images.lazy_images import map_in_threads, name_each, summarize_bad
from cnn_jax.errors import UserError
from cnn_jax.runtime.regular_files import read_regular

ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}  # the first first


def verify(source: EncodedSource, manifest: Path) -> None:
    """Holds every file to the SHA-256 that `manifest` has for it; raises `UserError`."""
    key = f"data.verify={str(manifest)!r}"
    expected = read_manifest(manifest, key)
    names = [source.name(i) for i in range(len(source))]
    wrong = [(name, "not in the manifest") for name in names if name not in expected]
    wrong += [(name, "gone") for name in sorted(expected.keys() - set(names))]
    for name, digest in file_hashes(source):
        if expected.get(name, digest) != digest:
            wrong.append((name, "another SHA-256"))
    if wrong:
        name_each(wrong)
        raise UserError(
            f"{key}: {len(wrong)} of {len({*names, *expected})} files are not as hashed: "
            f"{summarize_bad(wrong)}; restore them, or hash them anew by cnn_jax.tools.prepare"
        )


def read_manifest(manifest: Path, key: str) -> dict[str, str]:
    """{file: SHA-256} of a manifest in sha256sum's format."""
    try:
        content = read_regular(manifest).decode(errors="surrogateescape")
    except OSError as error:
        raise UserError(f"{key} cannot be read: {error.strerror}") from error
    hashes = {}
    for number, line in enumerate(content.removesuffix("\n").split("\n"), 1):
        match = re.fullmatch(r"(\\?)([0-9a-f]{64})  (.+)", line.removesuffix("\r"))
        if not match:
            raise UserError(f"{key}: line {number} is not 'SHA-256  FILE': {line:.40}")
        escaped, digest, name = match.groups()
        hashes[unescaped(name) if escaped else name] = digest
    return hashes


def manifest_line(digest: str, name: str) -> str:
    """As sha256sum writes it, where a name may hold the end of a line."""
    if not re.search(r"[\\\n\r]", name):
        return f"{digest}  {name}\n"
    for plain, sign in ESCAPES.items():
        name = name.replace(plain, sign)
    return f"\\{digest}  {name}\n"


def unescaped(name: str) -> str:
    plain = {sign: character for character, sign in ESCAPES.items()}
    return re.sub(r"\\[\\nr]", lambda match: plain[match[0]], name)


def file_hashes(source: EncodedSource) -> list[tuple[str, str]]:
    """(name, SHA-256) of every file of a source."""

    def hash_one(number: int) -> tuple[str, str]:
        try:
            return source.name(number), hashlib.sha256(source.read(number)).hexdigest()
        except OSError as error:
            return source.name(number), f"unreadable: {error.strerror}"

    return list(map_in_threads(hash_one, range(len(source)), "hashing"))
