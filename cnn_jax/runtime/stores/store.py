"""The objects under one address of an object store, s3://BUCKET/PATH or gs://BUCKET/PATH.

Through fsspec, as etils' epath and so Orbax have them: s3fs and gcsfs, of the extra `cloud`, which
find credentials, region and endpoint where their clouds' own tools do. A request that fails for
the moment (a 503, a connection cut) is made again; one that never can succeed is one line.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.util
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from cnn_jax.errors import UserError, printable, unknown
from cnn_jax.runtime.progress import ProgressBar

DRIVERS = {"s3": "s3fs", "gs": "gcsfs"}
ADDRESS = re.compile(r"([A-Za-z][\w+.-]+):/+(.*)", re.DOTALL)
PAUSES = (0.1, 0.5, 2.0, 4.0, 8.0, 16.0)  # seconds before a request is made again
AT_ONCE = 16  # requests
REFUSED = ("Credentials", "RefreshError", "AccessDenied", "Forbidden", "Unauthorized", "HTTP 401")
Answer = TypeVar("Answer")


def is_address(place: str | os.PathLike) -> bool:
    return ADDRESS.fullmatch(os.fspath(place)) is not None


def split_address(key: str, place: str | os.PathLike) -> tuple[str, str]:
    """("s3", "BUCKET/PATH") of an address; raises `UserError` for one that names no store."""
    match = ADDRESS.fullmatch(os.fspath(place))  # of two slashes a path keeps one
    assert match is not None, place
    protocol, path = match[1].lower(), match[2].strip("/")
    if protocol not in DRIVERS:
        raise unknown(key, f"{protocol}://{path}", [f"{name}://BUCKET/PATH" for name in DRIVERS])
    parts = path.split("/")
    if not path or "" in parts or ".." in parts or "." in parts:
        raise UserError(f"{key}='{protocol}://{match[2]}' names no place: {protocol}://BUCKET/PATH")
    return protocol, path


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a store says of an object: two with the same `version` have the same bytes."""

    size: int
    version: str
    modified: datetime.datetime | None


class StoreError(UserError):
    """A store that does not do what it is asked, or a workdir there that is another's by now."""


class Store:
    """The objects under `root` of an fsspec file system, by their names relative to it."""

    def __init__(self, files: Any, root: str, address: str):
        self.files, self.root, self.address = files, root, address

    @classmethod
    def open(cls, key: str, place: str | os.PathLike) -> Store:
        """Raises `UserError` for an address of no store, or where its driver is not installed."""
        protocol, root = split_address(key, place)
        driver, address = DRIVERS[protocol], f"{protocol}://{root}"
        if importlib.util.find_spec(driver) is None:
            raise UserError(
                f"{key}={address!r} needs {driver}: pip install 'cnn_jax[cloud]', or name a folder "
                "where the store is mounted (mountpoint-s3, gcsfuse)"
            )
        import fsspec

        logging.getLogger(driver).setLevel(logging.ERROR)  # its warnings are of no bucket of ours
        options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if protocol == "s3":  # what fails is asked again here, and said
            options["config_kwargs"] = {"retries": {"max_attempts": 1}}
        files = fsspec.filesystem(protocol, **options)
        files.retries = 1
        return cls(files, root, address)

    def __repr__(self) -> str:
        return f"<{self.address}>"

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def within(self, name: str) -> Store:
        """The objects under a name of this one."""
        return Store(self.files, self.path(name), f"{self.address}/{name}")

    def attempt(self, what: str, request: Callable[[], Answer]) -> Answer:
        """The answer to a request, made again while it may still succeed; raises `UserError`."""
        for pause in (*PAUSES, None):
            try:
                return request()
            except (FileNotFoundError, FileExistsError):
                raise
            except Exception as error:  # of whatever library speaks to the store
                reason = reason_of(error)
                lasting = isinstance(error, PermissionError) or any(
                    word in f"{type(error).__name__} {reason}" for word in REFUSED
                )
                if lasting or pause is None:
                    advice = "see to its credentials" if lasting else "give the same command again"
                    text = f"{self.address}: {what} failed ({reason}): {advice}"
                    raise StoreError(text) from error
                if pause == PAUSES[2]:  # the third time
                    print(
                        printable(f"warning: {self.address}: {what} failed ({reason}): once more"),
                        file=sys.stderr,
                    )
                time.sleep(pause)
        raise AssertionError

    def entries(self, under: str = "") -> dict[str, Entry]:
        """Of all objects, by name; nothing where there are none.

        Raises `UserError` where the bucket is not there.
        """

        def request() -> dict[str, Any]:
            self.files.invalidate_cache()
            return self.files.find(self.path(under), detail=True)

        try:
            found = self.attempt("listing", request)
        except FileNotFoundError as error:
            bucket = self.root.partition("/")[0]
            raise UserError(f"{self.address}: there is no bucket {bucket!r}: make it") from error
        start = f"{self.root}/"
        paths = {path.lstrip("/"): info for path, info in found.items()}
        return {
            path.removeprefix(start): entry_of(info)
            for path, info in paths.items()
            if path.startswith(start) and not path.endswith("/")  # a console's "folder"
        }

    def read(self, name: str) -> bytes | None:
        """The bytes of a small object, None where there is none."""
        try:
            return self.attempt(f"reading {name}", lambda: self.files.cat_file(self.path(name)))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """The object is the old one or the new one, never half of it."""
        self.attempt(f"writing {name}", lambda: self.files.pipe_file(self.path(name), data))

    def create(self, name: str, data: bytes) -> bool:
        """Whether it was made: only where there is none, and by one of all that try at once."""
        made = f"creating {name}"
        try:
            self.attempt(made, lambda: self.files.pipe_file(self.path(name), data, mode="create"))
        except FileExistsError:  # perhaps by a first try, whose answer was lost
            return self.read(name) == data
        return True

    def upload(self, path: Path, name: str) -> None:
        """A file; one of a few megabytes whole, as it is at this moment."""
        if path.stat().st_size < 8 << 20:
            self.write(name, path.read_bytes())
        else:
            self.attempt(f"writing {name}", lambda: self.files.put_file(str(path), self.path(name)))

    def download(self, name: str, path: Path) -> None:
        """To a file, which is the old one or the new one; raises `FileNotFoundError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.partial")
        try:
            self.attempt(
                f"reading {name}", lambda: self.files.get_file(self.path(name), str(partial))
            )
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    def copy(self, name: str, other: str) -> None:
        """Within the store."""
        ways = self.path(name), self.path(other)
        self.attempt(f"copying {name}", lambda: self.files.cp_file(*ways))

    def remove(self, name: str) -> None:
        """An object; nothing where it is gone."""
        try:
            self.attempt(f"removing {name}", lambda: self.files.rm_file(self.path(name)))
        except FileNotFoundError:
            return

    def now(self, under: str) -> datetime.datetime:
        """The time by the store's own clock."""
        name = f"{under}/clock-{uuid.uuid4().hex}"
        self.write(name, b"now")
        entry = self.entries(under)[name]
        self.remove(name)
        return entry.modified or datetime.datetime.now(datetime.UTC)


def entry_of(info: dict[str, Any]) -> Entry:
    """Of what s3fs, gcsfs or the memory's file system say."""
    modified = next(
        (info[key] for key in ("LastModified", "updated", "mtime", "created") if info.get(key)),
        None,
    )
    if isinstance(modified, str):
        modified = datetime.datetime.fromisoformat(modified)
    elif isinstance(modified, float | int):
        modified = datetime.datetime.fromtimestamp(modified, datetime.UTC)
    version = info.get("generation") or info.get("ETag") or info.get("etag") or modified
    return Entry(int(info["size"]), str(version), modified)


def reason_of(error: Exception) -> str:
    """In one line."""
    text = str(error).strip() or repr(error)
    return text.splitlines()[0][:200]


def each(
    work: Callable[[str], None], names: Iterable[str], what: str, sizes: dict[str, Entry]
) -> None:
    """`work` on every name, some at once, with progress by bytes; raises the first failure."""
    names = [*names]
    total = sum(sizes[name].size + 1 for name in names)
    with ProgressBar(what, total, is_bytes=True) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
        waiting = {pool.submit(work, name): name for name in names}
        try:
            for done, name in waiting.items():
                done.result()
                bar.advance(sizes[name].size + 1)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
