"""A workdir in a store, and the copy on this machine in which its run works.

All that reads and writes a workdir works on a disk: locks, renames, appended logs, hashes. So a run
works in a copy, and after each save the store is made like it. A save counts when its hashes are
in the store; until then a mark there says that it is under way, as it does on a disk, and what a
kill leaves is tidied up by the same rules: see `runtime.checkpoints`.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from cnn_jax.errors import UserError
from cnn_jax.runtime.checkpoints import REPLACED, UNDER_WAY
from cnn_jax.runtime.checksums import CHECKSUMS
from cnn_jax.runtime.preemption import Interrupted
from cnn_jax.runtime.stores.copies import Copy, addresses, copy_folder, in_words, local_files
from cnn_jax.runtime.stores.lease import Lease
from cnn_jax.runtime.stores.store import Entry, Store, StoreError, each, is_address

SAVES = "checkpoints"
LOG_SECONDS = 30.0  # between copies of the logs, while a run trains


def save_of(name: str) -> str | None:
    """ "checkpoints/00000010/meta/metadata" -> "checkpoints/00000010"."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] == SAVES and len(parts) > 2 else None


class Mirror:
    """Of one run, from `open` to `close`; without a lease it only reads."""

    def __init__(self, store: Store, folder: Path, lease: Lease | None):
        self.store, self.lease = store, lease
        self.copy = Copy(store, folder)
        self._guard = threading.Lock()  # logs are copied by a thread of their own
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._copy_logs, name="logs", daemon=True)

    def open(self) -> None:
        """Makes the copy as the store is; raises `UserError`."""
        if self.lease:
            self.lease.take()
        self.copy.pull()
        if self.lease:
            self._thread.start()

    def publish(self) -> None:
        """Makes the store as the copy is: what is new first, and only then less.

        Raises `StoreError`; what was whole in the store before is so still.
        """
        if self.lease is None:
            return
        with self._guard:
            self.lease.check()
            here = local_files(self.copy.folder)
            changed = [name for name, file in here.items() if self.copy.differs(name, file)]
            gone = [name for name in self.copy.index if name not in here]
            self.put(name for name in changed if save_of(name) is None)
            for save in saves_of(changed):
                self.publish_save(save, [name for name in changed if save_of(name) == save])
            for save in saves_of(gone):
                self.remove_save(save, [name for name in gone if save_of(name) == save])
            self.drop(name for name in gone if save_of(name) is None)
            self.copy.keep_index()

    def publish_save(self, save: str, changed: list[str]) -> None:
        """Files, then hashes; one of this step that is there stays until the new one is whole."""
        sums = f"{save}/{CHECKSUMS}"
        aside: list[str] = []
        with self.marked(save):
            if sums in self.copy.index:
                aside = self.keep_aside(save)
                self.drop([sums])
            self.put(name for name in changed if name != sums)
            self.holder().check()
            self.put(name for name in changed if name == sums)
        self.drop(aside)

    def keep_aside(self, save: str) -> list[str]:
        """Copies a whole save to where a disk has one that is replaced; its files' names there."""
        names = [name for name in self.copy.index if save_of(name) == save]
        aside = {name: f"{save}{REPLACED}{name.removeprefix(save)}" for name in names}
        for name in sorted(names, key=lambda name: name.endswith(CHECKSUMS)):
            self.store.copy(name, aside[name])
        return [*aside.values()]

    def remove_save(self, save: str, names: list[str]) -> None:
        """Takes these files of a save away."""
        with self.marked(save):
            self.drop(name for name in names if name.endswith(f"/{CHECKSUMS}"))
            self.drop(name for name in names if not name.endswith(f"/{CHECKSUMS}"))

    @contextlib.contextmanager
    def marked(self, save: str) -> Iterator[None]:
        """While the files of a save change, a mark says that they do."""
        mark = f"{SAVES}/{UNDER_WAY}{save.removeprefix(f'{SAVES}/')}"
        self.store.write(mark, b"")
        yield
        self.store.remove(mark)
        self.copy.index.pop(mark, None)

    def put(self, names: Iterable[str]) -> None:
        here = local_files(self.copy.folder)
        sizes = {name: Entry(here[name].size, "", None) for name in names if name in here}
        each(self.copy.upload, sizes, f"writing to {self.store.address}", sizes)

    def drop(self, names: Iterable[str]) -> None:
        """Takes away, in no order."""
        sizes = dict.fromkeys(names, Entry(0, "", None))
        each(self.store.remove, sizes, f"tidying up {self.store.address}", sizes)
        for name in sizes:
            self.copy.index.pop(name, None)

    def holder(self) -> Lease:
        assert self.lease is not None
        return self.lease

    def _copy_logs(self) -> None:
        while not self._closed.wait(LOG_SECONDS):
            with self._guard, contextlib.suppress(Exception):  # said at the next save
                self.holder().check()
                for name, file in local_files(self.copy.folder).items():
                    if not name.startswith(f"{SAVES}/") and self.copy.differs(name, file):
                        self.copy.upload(name)

    def fetch(self, step: str) -> None:
        """The save of a step as the store has it: another process made it, or the copy is bad."""
        with self._guard:
            self.copy.pull(f"{SAVES}/{step}/")

    def close(self) -> None:
        """The end of a run: all is in the store, and another process may work there."""
        self._closed.set()
        if self.lease:
            self._thread.join()
            self.publish()
            self.lease.give_back()

    def abandon(self) -> None:
        """The end of a run of which nothing more is to be written."""
        self._closed.set()
        if self.lease:
            self.lease.abandon()


def saves_of(names: Iterable[str]) -> list[str]:
    return sorted({save for name in names if (save := save_of(name))})


@contextlib.contextmanager
def opened_workdir(place: str | os.PathLike) -> Iterator[tuple[Path, Mirror | None]]:
    """The folder in which a run works, and for an address the mirror that keeps it in the store.

    Errors within name the address. Of several processes each has a copy, and process 0 the lease.
    """
    if not is_address(place):
        yield Path(place), None
        return
    store, index = Store.open("workdir", place), jax.process_index()
    folder = copy_folder(store.address, f"{index}" if index else "")
    addresses[str(folder)] = store.address
    mirror = Mirror(store, folder, None if index else Lease(store))
    if index == 0:
        mirror.open()
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("the store's workdir is there")
        if index:
            mirror.open()
    try:
        yield folder, mirror
        mirror.close()
    except StoreError:
        raise
    except Interrupted:
        mirror.close()
        raise
    except UserError as error:
        with contextlib.suppress(StoreError):  # the first is said
            mirror.close()
        raise UserError(in_words(str(error))) from error
    finally:
        mirror.abandon()
