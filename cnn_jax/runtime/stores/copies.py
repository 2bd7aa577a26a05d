"""Copies of what lies in a store, on this machine's disk.

    ~/.cache/cnn_jax/stores/HASH/            the copy; CNN_JAX_STORES names another place
    ~/.cache/cnn_jax/stores/HASH/.copy.json  which version of each object it has

What has not changed is not fetched again. A copy may be removed when nobody works in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cnn_jax.errors import UserError
from cnn_jax.runtime.checksums import CHECKSUMS, damage
from cnn_jax.runtime.regular_files import read_json_object, regular
from cnn_jax.runtime.stores.lease import PLACE as LEASE
from cnn_jax.runtime.stores.store import Entry, Store, each, is_address

PLACE = "~/.cache/cnn_jax/stores"
INDEX = ".copy.json"
FRESH = 60.0  # seconds in which a process does not ask again whether a copy is as the store is
READ = ("workdir", "weights")  # flags of what is read
# Of this machine alone, or of a write that is under way.
OWN = re.compile(
    r"(^|/)(\.lock|\.copy\.json|\.[^/]*\.(tmp|partial))$|orbax-checkpoint-tmp|\.removed/"
)


@dataclasses.dataclass(frozen=True)
class Known:
    """A file that is as the store has it: the object's version, the file's size and time."""

    version: str
    size: int
    changed: int  # nanoseconds


fetched: dict[Path, float] = {}  # when this process did
addresses: dict[str, str] = {}  # of the copies that it has opened, by their folders


def in_words(place: str | os.PathLike) -> str:
    """A path as it is said: that of a copy, or within one, is its address."""
    text = os.fspath(place)
    for folder, address in addresses.items():
        text = text.replace(folder, address)
    return text


def copy_folder(address: str, use: str = "") -> Path:
    """Where the copy of an address is, or will be; one for each use that changes it."""
    place = Path(os.environ.get("CNN_JAX_STORES") or PLACE).expanduser()
    name = f"{address.rpartition('/')[2]}-{hashlib.sha256(address.encode()).hexdigest()[:12]}"
    return place / (f"{name}-{use}" if use else name)


def local_files(folder: Path) -> dict[str, Known]:
    """What a copy holds that belongs into the store, by name."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            relative = path.relative_to(folder).as_posix()
            with contextlib.suppress(FileNotFoundError):
                if not OWN.search(relative) and path.is_file():
                    status = path.stat()
                    found[relative] = Known("", status.st_size, status.st_mtime_ns)
    return found


class Copy:
    """A folder and what is known of the store that it is a copy of."""

    def __init__(self, store: Store, folder: Path):
        self.store, self.folder = store, folder
        self.index = self.read_index()

    def read_index(self) -> dict[str, Known]:
        try:
            values = read_json_object(self.folder / INDEX, "address", "files")
            if values["address"] == self.store.address:
                return {name: Known(*known) for name, known in values["files"].items()}
        except (OSError, TypeError, ValueError, AttributeError):
            pass  # nothing is known: all is fetched
        return {}

    def keep_index(self) -> None:
        """Writes what is known; of what was written to the store, its versions are asked first."""
        if any(not known.version for known in self.index.values()):
            there = self.store.entries()
            for name, known in self.index.items():
                if not known.version and name in there:
                    version = there[name].version
                    self.index[name] = dataclasses.replace(known, version=version)
        files = {name: dataclasses.astuple(known) for name, known in self.index.items()}
        temporary = self.folder / f".{INDEX}.tmp"
        temporary.write_text(json.dumps({"address": self.store.address, "files": files}))
        os.replace(temporary, self.folder / INDEX)

    def differs(self, name: str, file: Known) -> bool:
        """Whether a file is not the one that the store has."""
        known = self.index.get(name)
        return known is None or (known.size, known.changed) != (file.size, file.changed)

    def pull(self, under: str = "") -> None:
        """Makes the folder as the store is; raises `UserError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        there = {
            name: entry
            for name, entry in self.store.entries(under.rstrip("/")).items()
            if not name.startswith(f"{LEASE}/") and name.startswith(under)
        }
        self.check_names(there)
        files = local_files(self.folder).items()
        here = {name: file for name, file in files if name.startswith(under)}
        rotten = damaged_saves(self.folder, here)
        for name in here:
            if name not in there:
                (self.folder / name).unlink()
                self.index.pop(name, None)
        wanted = {
            name: entry
            for name, entry in there.items()
            if name not in here
            or self.differs(name, here[name])
            or self.index[name].version != entry.version
            or name.startswith(rotten)
        }
        self.check_space(wanted)
        if wanted:
            each(self.download, wanted, f"reading {self.store.address}", wanted)
        for name in wanted:
            status = (self.folder / name).stat()
            self.index[name] = Known(there[name].version, status.st_size, status.st_mtime_ns)
        remove_empty(self.folder / under)
        self.folder.mkdir(exist_ok=True)
        self.keep_index()

    def check_names(self, there: dict[str, Entry]) -> None:
        """Raises `UserError` for an object whose name is no file's below the folder."""
        for name in there:
            if any(part in ("", ".", "..") or "\0" in part for part in name.split("/")):
                raise UserError(f"{self.store.address}: the object {name!r} can be no file here")

    def check_space(self, wanted: dict[str, Entry]) -> None:
        size = sum(entry.size for entry in wanted.values())
        if size > (free := shutil.disk_usage(self.folder).free):
            raise UserError(
                f"{self.store.address} has {size:,} bytes to copy to {self.folder}, where "
                f"{free:,} are free: let CNN_JAX_STORES name a folder with more"
            )

    def download(self, name: str) -> None:
        path = self.folder / name
        try:
            self.store.download(name, path)
        except FileNotFoundError as error:
            raise UserError(
                f"{self.store.address}/{name} went while it was read: give the same command again"
            ) from error

    def upload(self, name: str) -> None:
        """A file to the store, as it is now; one that goes meanwhile is left out."""
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            self.store.upload(path, name)
            self.index[name] = Known("", status.st_size, status.st_mtime_ns)


def damaged_saves(folder: Path, files: dict[str, Known]) -> tuple[str, ...]:
    """The beginnings of the names of saves whose copy is not what was written."""
    saves = [name.removesuffix(CHECKSUMS) for name in files if name.endswith(f"/{CHECKSUMS}")]
    return tuple(save for save in saves if damage(folder / save))


def remove_empty(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(place)


@contextlib.contextmanager
def being_filled(folder: Path) -> Iterator[None]:
    """One process at a time fetches a copy."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "a", opener=regular) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def local_copy(key: str, place: str | os.PathLike) -> str:
    """The folder of an address' copy, as the store was within a minute; of a path, the path itself.

    Raises `UserError` where nothing is at the address.
    """
    if not is_address(place):
        return os.fspath(place)
    store = Store.open(key, place)
    folder = copy_folder(store.address, "read")
    if time.monotonic() - fetched.get(folder, -math.inf) > FRESH:
        with being_filled(folder):
            copy = Copy(store, folder)
            copy.pull()
        if not copy.index:
            raise UserError(f"{key}={store.address!r}: nothing is there")
        addresses[str(folder)] = store.address
        fetched[folder] = time.monotonic()
    return str(folder)


def local_file(key: str, place: str | os.PathLike, name: str) -> Path:
    """One small file of a folder or an address, which may not be there."""
    if not is_address(place):
        return Path(place, name)
    store = Store.open(key, place)
    path = copy_folder(store.address, "part") / name
    with being_filled(path.parent):
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            store.download(name, path)
    return path


def with_copies(words: Sequence[str]) -> list[str]:
    """The words of a command that only reads, with copies for the addresses that it names."""
    own = []
    for before, word in itertools.pairwise(["", *words]):
        flag, equals, value = word.partition("=")
        if flag.lstrip("-") in READ and flag.startswith("-") and equals:
            word = f"{flag}={local_copy(flag, value)}"
        elif before.startswith("-") and before.lstrip("-") in READ:
            word = local_copy(before, word)
        elif not word.startswith("-") and (not before.startswith("-") or "=" in before):
            word = local_copy("an argument", word)
        own.append(word)
    return own
