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
import functools
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from cnn_jax.errors import UserError, not_written

CHECKSUMS = "SHA256SUMS"
REPLACED = ".replaced"  # a whole save of a step that is saved again
NOTHING, DAMAGED = -1, -2  # in place of a step: nothing was saved; all that was is damaged


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back."""

    step: int
    tree: Any
    meta: dict[str, Any]


def file_hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def checksums_of(folder: Path) -> dict[str, str]:
    """{name relative to `folder`: hash} of all files under it but `SHA256SUMS`, sorted."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.lstrip(".") != CHECKSUMS)
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in files}


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
    """What is wrong with the files of a save, by name, or None when they are those written."""
    try:
        text = (folder / CHECKSUMS).read_bytes().decode(errors="replace")
        there = checksums_of(folder)
    except OSError as error:
        return f"{error.filename or folder} cannot be read ({error.strerror or error})"
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


@functools.cache
def silence_orphans() -> None:
    """When one of Orbax's writes fails, others find their event loop closed, and say so at length.

    The failure itself is raised; these complaints of threads that nobody waits for are dropped.
    """
    show = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            show(unraisable)

    sys.unraisablehook = hook


class Checkpoints:
    """The saves of one workdir. Every process calls `save`; process 0 hashes and tidies up."""

    def __init__(self, workdir: str | os.PathLike, keep: int = 2):
        self.folder = Path(workdir).absolute() / "checkpoints"
        self.keep = keep
        self._orbax = None
        self._saved: int | None = None  # the step of the last save that was started
        self._pending: concurrent.futures.Future | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")

    def steps(self) -> list[int]:
        """The steps of all acknowledged saves, oldest first, damaged or not."""
        if not self.folder.is_dir():
            return []
        return sorted(
            int(p.name)
            for p in self.folder.iterdir()
            if p.name.isdigit() and (p / CHECKSUMS).exists()
        )

    def path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def tidy(self) -> None:
        """Removes what a killed run left: saves without hashes, and Orbax's temporary folders.

        A save that was to be replaced comes back where the new one is not whole.
        """
        if jax.process_index() == 0 and self.folder.is_dir():
            for aside in self.folder.glob(f"*{REPLACED}"):
                place = aside.with_suffix("")
                if not (place / CHECKSUMS).exists():
                    shutil.rmtree(place, ignore_errors=True)
                    aside.rename(place)
                shutil.rmtree(aside, ignore_errors=True)
            for path in self.folder.iterdir():
                unfinished = path.name.isdigit() and not (path / CHECKSUMS).exists()
                if unfinished or "orbax-checkpoint-tmp" in path.name:
                    shutil.rmtree(path, ignore_errors=True)

    def prune(self, best: int) -> None:
        """Removes all saves but the newest `keep` and that of step `best`."""
        if jax.process_index() == 0:
            steps = self.steps()
            for step in set(steps) - {*steps[-self.keep :], best}:
                (self.path(step) / CHECKSUMS).unlink()  # from here on it does not count
                shutil.rmtree(self.path(step))

    def save(self, step: int, tree: Any, meta: dict[str, Any], best: int) -> None:
        """Starts a save and returns when `tree` may change; waits for the one before.

        `best` is the step that must be kept beside the newest `keep`. Raises `UserError` when
        this or the previous save could not be written; what was saved before stays.
        """
        self.wait()
        if step == self._saved:  # the same bits are there already
            return
        import orbax.checkpoint as ocp

        try:
            if self._orbax is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                silence_orphans()
                self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
            if jax.process_index() == 0 and step in self.steps():
                self.path(step).rename(self.path(step).with_suffix(REPLACED))
            self._orbax.save(
                self.path(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(tree), meta=ocp.args.JsonSave(meta)
                ),
                force=True,
            )
        except Exception as error:
            raise self._failure(step, error) from error
        self._saved = step
        self._pending = self._thread.submit(self._finish, self._orbax, step, best)

    def wait(self) -> None:
        """Returns when the last save is acknowledged; raises `UserError` when it failed."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _finish(self, orbax: Any, step: int, best: int) -> None:
        try:
            orbax.wait_until_finished()
            if jax.process_index() == 0:
                write_checksums(self.path(step))
                shutil.rmtree(self.path(step).with_suffix(REPLACED), ignore_errors=True)
            self.prune(best)
        except Exception as error:
            raise self._failure(step, error) from error

    def _failure(self, step: int, error: Exception) -> UserError:
        self._orbax = self._saved = None  # Orbax would raise it again at the next save
        failure = not_written(f"the checkpoint of step {step}", self.folder, error)
        self.tidy()
        done = self.steps()
        last = f"the last whole one is of step {done[-1]}" if done else "there is none before it"
        return UserError(f"{failure}; {last}")

    def latest_valid(self, prefer: int | None = None) -> int | None:
        """The step to restore: `prefer` if it is whole, else the newest that is.

        Says on stderr which file of which save was bad, and sets such a save aside. None when
        nothing was ever saved; raises `UserError` when all that was saved is damaged. Process 0
        decides for all.
        """
        step = self._choose(prefer) if jax.process_index() == 0 else None
        if jax.process_count() > 1:
            step = int(multihost_utils.broadcast_one_to_all(np.int32(step or 0)))
        if step == DAMAGED:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged: bring back a copy of one, or "
                "remove that folder to start from nothing"
            )
        return None if step == NOTHING else step

    def _choose(self, prefer: int | None) -> int:
        candidates = self.steps()[::-1]
        if prefer in candidates:
            candidates.sort(key=lambda step: step != prefer)
        for step in candidates:
            problem = damage(self.path(step))
            if problem is None:
                return step
            print(f"warning: checkpoint {step} is damaged: {problem}", file=sys.stderr)
            aside = self.path(step).with_suffix(".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            self.path(step).rename(aside)
        return DAMAGED if any(self.folder.glob("*.damaged")) else NOTHING

    def restore(self, step: int, target: Any) -> Restored:
        """The save of `step`, as `target`: a tree of arrays or of `jax.ShapeDtypeStruct`."""
        import orbax.checkpoint as ocp

        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            items = reader.restore(
                self.path(step),
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()
                ),
            )
        return Restored(step, items["state"], items["meta"])

    def read(self, step: int) -> Restored:
        """The save of `step` as nested dicts and lists of host arrays, whatever run it is of."""
        import orbax.checkpoint as ocp

        place = self.path(step) / "state"
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
            there = reader.metadata(place).item_metadata.tree
            how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), there)
            tree = reader.restore(place, args=ocp.args.PyTreeRestore(restore_args=how))
        return Restored(step, tree, self.read_meta(step))

    def read_meta(self, step: int) -> dict[str, Any]:
        """What was saved beside the arrays."""
        import orbax.checkpoint as ocp

        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            return reader.restore(self.path(step) / "meta", args=ocp.args.JsonRestore())

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self._orbax is not None:
                self._orbax.close()
            else:  # a save failed: its other threads have ended by now
                self.tidy()
