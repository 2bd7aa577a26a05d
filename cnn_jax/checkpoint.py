"""Checkpoints: state, position, config and versions as one, written by Orbax in the background.

    checkpoints/<step>/            one finished save
    checkpoints/<step>/SHA256SUMS  the hash of every file in it: without this it does not count

Orbax renames a save into place when all of it is on disk, but notices neither a flipped bit nor a
missing file. So every file is hashed after the rename, and a restore checks the hashes first: the
newest save that is whole is taken, and the files that were not are named. A save is acknowledged,
and older ones may go, only when its hashes are on disk.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax

from cnn_jax.errors import UserError

SUMS = "SHA256SUMS"


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back."""

    step: int
    tree: Any
    meta: dict[str, Any]


def file_hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Writes `SHA256SUMS` of all files under `folder`, in the form of sha256sum, atomically."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    lines = [f"{file_hash(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    temporary = folder / f".{SUMS}"
    with open(temporary, "w") as stream:
        stream.writelines(lines)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / SUMS)


def damage(folder: Path) -> str | None:
    """What is wrong with the files of a save, or None when each has its hash."""
    if not (folder / SUMS).is_file():
        return f"{folder / SUMS} is missing"
    try:
        lines = (folder / SUMS).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return f"{folder / SUMS} cannot be read ({error})"
    listed = set()
    for line in lines:
        digest, _, name = line.partition("  ")
        path = folder / name
        if not name or not path.is_file():
            return f"{path} is missing"
        if file_hash(path) != digest:
            return f"{path} has changed: its SHA-256 is not the one saved with it"
        listed.add(path)
    if not listed:
        return f"{folder / SUMS} is empty"
    return None


class Checkpoints:
    """The saves of one workdir. Every process calls `save`; process 0 hashes and tidies up."""

    def __init__(self, workdir: str | os.PathLike, keep: int = 2):
        self.folder = Path(workdir).absolute() / "checkpoints"
        self.keep = keep
        self._orbax = None
        self._pending: concurrent.futures.Future | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")

    def steps(self) -> list[int]:
        """The steps of all acknowledged saves, oldest first, damaged or not."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(p.name) for p in self.folder.iterdir() if p.name.isdigit() and (p / SUMS).exists()
        )

    def path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def tidy(self) -> None:
        """Removes what a killed run left: saves without hashes, and Orbax's temporary folders."""
        if jax.process_index() == 0 and self.folder.is_dir():
            for path in self.folder.iterdir():
                unfinished = path.name.isdigit() and not (path / SUMS).exists()
                if unfinished or "orbax-checkpoint-tmp" in path.name:
                    shutil.rmtree(path, ignore_errors=True)

    def save(self, step: int, tree: Any, meta: dict[str, Any], best: int) -> None:
        """Starts a save and returns when `tree` may change; waits for the one before.

        `best` is the step that must be kept beside the newest `keep`. Raises `UserError` when
        this or the previous save could not be written; what was saved before stays.
        """
        self.wait()
        if step in self.steps():  # the same bits are there already
            return
        import orbax.checkpoint as ocp

        try:
            if self._orbax is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
            self._orbax.save(
                self.path(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta)
                ),
                force=True,
            )
        except Exception as error:
            raise self._failure(step, error) from error
        self._pending = self._thread.submit(self._finish, step, best)

    def wait(self) -> None:
        """Returns when the last save is acknowledged; raises `UserError` when it failed."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _finish(self, step: int, best: int) -> None:
        try:
            self._orbax.wait_until_finished()
            if jax.process_index() == 0:
                write_sums(self.path(step))
                kept = {*self.steps()[-self.keep :], best, step}
                for old in set(self.steps()) - kept:
                    shutil.rmtree(self.path(old))
        except Exception as error:
            raise self._failure(step, error) from error

    def _failure(self, step: int, error: Exception) -> UserError:
        free = shutil.disk_usage(self.folder if self.folder.exists() else self.folder.anchor).free
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        done = self.steps()
        last = f"the last whole one is of step {done[-1]}" if done else "there is none before it"
        return UserError(
            f"the checkpoint of step {step} could not be written to {self.folder} "
            f"({reason}; {free / 2**20:.0f} MiB free); {last}"
        )

    def newest_whole(self, prefer: int | None = None) -> int | None:
        """The step to restore: `prefer` if it is whole, else the newest that is; None for none.

        Says on stderr which file of which save was bad, and sets such a save aside.
        """
        candidates = self.steps()[::-1]
        if prefer in candidates:
            candidates.sort(key=lambda step: step != prefer)
        for step in candidates:
            problem = damage(self.path(step))
            if problem is None:
                return step
            print(f"warning: checkpoint {step} is damaged: {problem}", file=sys.stderr)
            if jax.process_index() == 0:
                aside = self.path(step).with_suffix(".damaged")
                shutil.rmtree(aside, ignore_errors=True)
                self.path(step).rename(aside)
        return None

    def restore(self, step: int, target: Any) -> Restored:
        """The save of `step`, as `target`: a tree of arrays or of `jax.ShapeDtypeStruct`."""
        import orbax.checkpoint as ocp

        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            found = reader.restore(
                self.path(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()
                ),
            )
        return Restored(step, found["state"], found["meta"])

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self._orbax is not None:
                self._orbax.close()
