"""Checkpoints: state, position, config and versions as one, written by Orbax in the background.

    checkpoints/<step>/            one finished save
    checkpoints/<step>/SHA256SUMS  the hash of every file in it: without this it does not count
    checkpoints/<step>.damaged     a save that is not what was written, set aside
    checkpoints/.saving-<step>     the save that is under way, or that a kill left unfinished

Orbax renames a save into place when all of it is on disk, but notices neither a flipped bit nor a
missing file. So every file is hashed after the rename, and a restore checks the hashes first: the
newest save that is whole is taken, and the files that were not are named. A save is acknowledged,
and older ones may go, only when its hashes are on disk.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from cnn_jax.errors import UserError, not_written, printable
from cnn_jax.runtime.checksums import CHECKSUMS, damage, is_there, write_checksums
from cnn_jax.runtime.orbax_writers import alone, make_writer, on_this_host
from cnn_jax.runtime.stores.store import StoreError

if TYPE_CHECKING:
    from cnn_jax.runtime.stores.mirror import Mirror

UNDER_WAY = ".saving-"
REPLACED = ".replaced"  # a whole save of a step that is saved again
# How JAX and Orbax say that a process of several was waited for in vain.
PEER = re.compile(r"DEADLINE_EXCEEDED|UNAVAILABLE|[Bb]arrier|[Cc]oordination|heartbeat|Gloo")
NOTHING, DAMAGED = -1, -2  # in place of a step: nothing was saved; all that was is damaged


@dataclasses.dataclass(frozen=True)
class Restored:
    """What a checkpoint gave back."""

    step: int
    tree: Any
    meta: dict[str, Any]


def place_of(folder: Path) -> tuple[int, int] | None:
    """What stays the same of a folder that is renamed; None where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_of_a_peer(error: BaseException | None) -> bool:
    """Whether a wait for another process has failed, not a write."""
    while error is not None:
        if not isinstance(error, OSError) and PEER.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


class Checkpoints:
    """The saves of one workdir. Every process calls `save`; process 0 hashes and tidies up.

    With a `mirror` a save is acknowledged when it is in the store. Of several processes, whose
    copies of such a workdir are apart, process 0 writes all.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int = 2, mirror: Mirror | None = None):
        self.mirror, self.by_one = mirror, mirror is not None and jax.process_count() > 1
        self.folder = Path(workdir).absolute() / "checkpoints"
        self.keep = keep
        self._place = place_of(self.folder.parent)
        self._orbax = None
        self._saved: int | None = None  # the step of the last save that was started
        self._pending: concurrent.futures.Future | None = None
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "checkpoint")

    def steps(self) -> list[int]:
        """The steps of all acknowledged saves, oldest first, damaged or not."""
        return [step for step in self.finished() if is_there(self.path(step) / CHECKSUMS)]

    def finished(self) -> list[int]:
        """Those, and the saves that have lost their hashes, but none that a kill left unhashed."""
        if not self.folder.is_dir():
            return []
        names = {path.name for path in self.folder.iterdir()}
        steps = sorted(int(name) for name in names if name.isdigit())
        return [
            step
            for step in steps
            if not self.mark(step).exists() or is_there(self.path(step) / CHECKSUMS)
        ]

    def is_empty(self) -> bool:
        """Whether nothing was ever saved: no save is there, whole or damaged."""
        replaced = any(self.folder.glob(f"*{REPLACED}"))
        return not (self.finished() or self.damaged() or replaced)

    def damaged(self) -> list[str]:
        """The names of what was set aside."""
        return sorted(path.name for path in self.folder.glob("*.damaged*"))

    def path(self, step: int) -> Path:
        return self.folder / f"{step:08d}"

    def mark(self, step: int) -> Path:
        """There while a save is under way: one without hashes is else one that lost them."""
        return self.folder / f"{UNDER_WAY}{step:08d}"

    def tidy(self) -> None:
        """Removes what a killed run left: saves not acknowledged, half-removed and temporary ones.

        A finished save without hashes that nobody was writing stays. A save that was to be replaced
        comes back where the new one is not whole.
        """
        if jax.process_index() == 0 and self.folder.is_dir():
            for path in [*self.folder.iterdir()]:
                if "orbax-checkpoint-tmp" in path.name or path.name.endswith(".removed"):
                    shutil.rmtree(path, ignore_errors=True)
                elif path.name.startswith(UNDER_WAY):
                    save = self.folder / path.name.removeprefix(UNDER_WAY)
                    if not is_there(save / CHECKSUMS):
                        shutil.rmtree(save, ignore_errors=True)
                    path.unlink(missing_ok=True)
            for aside in [*self.folder.glob(f"*{REPLACED}")]:
                place = aside.with_suffix("")
                if not is_there(place / CHECKSUMS):
                    if place.exists():
                        self.set_aside(int(place.name))
                    aside.rename(place)
                shutil.rmtree(aside, ignore_errors=True)

    def prune(self, best: int) -> None:
        """Removes all saves but the newest `keep` and that of step `best`."""
        if jax.process_index() == 0:
            steps = self.steps()
            for step in set(steps) - {*steps[-self.keep :], best}:
                going = self.path(step).with_suffix(".removed")  # from here on it does not count
                shutil.rmtree(going, ignore_errors=True)
                self.path(step).rename(going)
                shutil.rmtree(going)

    def save(self, step: int, tree: Any, meta: dict[str, Any], best: int) -> None:
        """Starts a save and returns when `tree` may change; waits for the one before.

        `best` is the step that must be kept beside the newest `keep`. Raises `UserError` when
        this or the previous save could not be written; what was saved before stays.
        """
        self.wait()
        if step == self._saved:  # the same bits are there already
            return
        if self._place not in (None, place_of(self.folder.parent)):
            raise UserError(
                f"the folder {self.folder.parent} was moved or removed while its run was under way:"
                f" step {step} is not saved elsewhere; put it back, and give the same command again"
            )
        import orbax.checkpoint as ocp

        if self.by_one:
            tree = on_this_host(tree)
        try:
            if self._orbax is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._orbax = make_writer(self.by_one)
            if jax.process_index() == 0:
                self.mark(step).touch()
                if step in self.steps():
                    self.path(step).rename(self.path(step).with_suffix(REPLACED))
            if not self.by_one or jax.process_index() == 0:
                what = {"state": ocp.args.StandardSave(tree), "meta": ocp.args.JsonSave(meta)}
                self._orbax.save(self.path(step), args=ocp.args.Composite(**what), force=True)
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
                self.mark(step).unlink(missing_ok=True)
                shutil.rmtree(self.path(step).with_suffix(REPLACED), ignore_errors=True)
            self.prune(best)
            if self.mirror:
                self.mirror.publish()
        except StoreError:
            raise
        except Exception as error:
            raise self._failure(step, error) from error

    def _failure(self, step: int, error: Exception) -> UserError:
        self._orbax = self._saved = None  # Orbax would raise it again at the next save
        what = f"the checkpoint of step {step}"
        failure = not_written(what, self.folder, error)
        if jax.process_count() > 1 and is_of_a_peer(error):
            failure = f"{what} was not written: another process of the run has ended or hangs"
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
            if self.mirror and jax.process_index() and step >= 0:
                self.mirror.fetch(self.path(step).name)
        if step == DAMAGED:
            raise UserError(
                f"every checkpoint in {self.folder} is damaged ({', '.join(self.damaged())}): "
                "bring back a copy of one, or remove that folder to start from nothing"
            )
        return None if step == NOTHING else step

    def _choose(self, prefer: int | None) -> int:
        candidates = self.finished()[::-1]
        if prefer in candidates:
            candidates.sort(key=lambda step: step != prefer)
        for step in candidates:
            problem = damage(self.path(step)) or self.wrong_step(step)
            if problem and self.mirror:  # the store's may be whole
                self.mirror.fetch(self.path(step).name)
                problem = damage(self.path(step)) or self.wrong_step(step)
            if problem is None:
                return step
            line = printable(f"warning: checkpoint {step} is damaged: {problem}")
            print(line, file=sys.stderr)
            self.set_aside(step)
        return DAMAGED if self.damaged() else NOTHING

    def wrong_step(self, step: int) -> str | None:
        """What is wrong with a whole save of another step, put in the place of this one."""
        meta = self.path(step) / "meta"
        try:
            saved = self.read_meta(step).get("progress", {}).get("step", step)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            return f"{meta} is not what a save holds ({type(error).__name__})"
        return None if saved == step else f"{self.path(step)} holds the save of step {saved!r:.50}"

    @contextlib.contextmanager
    def reading(self, step: int) -> Iterator[None]:
        """Raises `UserError` for a save whose hashes agree, and which Orbax cannot read.

        Whoever wrote it wrote it so; of what the system refuses (`OSError`) nothing is said.
        """
        try:
            yield
        except (OSError, UserError):
            raise
        except Exception as error:  # Orbax and tensorstore raise whatever they meet
            raise UserError(
                f"{self.path(step)} cannot be read ({type(error).__name__}: {error!s:.200}), and "
                "is what was written: no save of this program, or one of another net; remove it, "
                "and the one before it is taken"
            ) from error

    def set_aside(self, step: int) -> None:
        """Renames a damaged save to a name that is free: nothing is removed."""
        names = (f".damaged{number or ''}" for number in itertools.count())
        asides = (self.path(step).with_suffix(name) for name in names)
        self.path(step).rename(next(path for path in asides if not path.exists()))

    def restore(self, step: int, target: Any) -> Restored:
        """The save of `step`, as `target`: a tree of arrays or of `jax.ShapeDtypeStruct`."""
        import orbax.checkpoint as ocp

        self._saved = None  # what goes on from here may have other bits at the same step
        with (
            self.reading(step),
            ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader,
        ):
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
        reader = ocp.PyTreeCheckpointHandler()  # a Checkpointer misses what a part does not have
        with self.reading(step):
            there = reader.metadata(place).tree
            how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), there)
            tree = reader.restore(place, args=ocp.args.PyTreeRestore(restore_args=how))
        reader.close()
        return Restored(step, tree, self.read_meta(step))

    def read_meta(self, step: int) -> dict[str, Any]:
        """What was saved beside the arrays, read by this process alone: no other is waited for."""
        import orbax.checkpoint as ocp

        options = alone("meta")
        handler = ocp.JsonCheckpointHandler(multiprocessing_options=options)
        with ocp.Checkpointer(handler, multiprocessing_options=options) as reader:
            return reader.restore(self.path(step) / "meta", args=ocp.args.JsonRestore())

    def newest_meta(self) -> tuple[int, dict[str, Any]] | None:
        """Step and meta of the newest save whose meta can be read, be its arrays whole or not."""
        for step in reversed(self.steps()):
            try:
                return step, dict(self.read_meta(step))
            except Exception:  # damaged, which the search for a whole save will say
                continue
        return None

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self._orbax is not None:
                self._orbax.close()
            else:  # a save failed: its other threads have ended by now
                self.tidy()
