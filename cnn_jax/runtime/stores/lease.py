"""One process at a time works in a workdir of a store.

    .lease/00000007    who works there, renewed every few seconds; the highest number counts

A store has no locks, but of several that create one object one succeeds. Who takes a workdir over
creates the next number, and whoever held a lower one sees that before its next save, and ends: two
never write at a time for longer than that. A lease is taken over when it was given back, when its
process is known to be dead, or when it was not renewed for `SILENCE` seconds by the store's clock.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.runtime.stores.store import Entry, Store, StoreError

PLACE = ".lease"
RENEWAL, SILENCE = 10.0, 40.0  # seconds


def machine() -> str:
    """The same for processes that see each other's numbers."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        with contextlib.suppress(OSError):  # not Linux
            parts.append(os.readlink(path) if "ns" in path else Path(path).read_text().strip())
    return " ".join(parts)


def is_dead(holder: dict[str, Any]) -> bool:
    """Whether a process of this machine is known to have ended; this one's own number was."""
    if holder.get("machine") != machine() or not isinstance(holder.get("pid"), int):
        return False
    if holder["pid"] == os.getpid():
        return holder.get("id") not in held_here
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


held_here: set[str] = set()  # the leases that threads of this process hold, or try to take


class Lease:
    """Held from `take` to `give_back`."""

    def __init__(self, store: Store):
        self.store = store
        self.number = 0
        self.id = uuid.uuid4().hex
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    @property
    def name(self) -> str:
        return f"{PLACE}/{self.number:08d}"

    def content(self, **more: Any) -> bytes:
        host = socket.gethostname()
        values = {"id": self.id, "host": host, "pid": os.getpid(), "machine": machine(), **more}
        return json.dumps(values).encode()

    def take(self) -> None:
        """Raises `UserError` while another process works there; waits where that may be dead."""
        waited_for = None
        held_here.add(self.id)
        while True:
            numbers = self.numbers()
            newest = max(numbers, default=0)
            if newest:
                name = f"{PLACE}/{newest:08d}"
                holder = read_holder(self.store, name)
                gone = holder.get("given_back") or is_dead(holder)
                entry = numbers[newest]
                if not gone and waited_for not in (None, (newest, entry.version)):
                    raise self.in_use(holder)
                if not gone and (left := self.seconds_left(entry)) > 0:
                    waited_for = newest, entry.version
                    self.wait(holder, left)
                    continue
            self.number = newest + 1
            if self.store.create(self.name, self.content()):
                break
        for number in numbers:
            self.store.remove(f"{PLACE}/{number:08d}")
        self._thread.start()

    def numbers(self) -> dict[int, Entry]:
        entries = self.store.entries(PLACE)
        names = {name.removeprefix(f"{PLACE}/"): entry for name, entry in entries.items()}
        return {int(name): entry for name, entry in names.items() if name.isdigit()}

    def seconds_left(self, entry: Entry) -> float:
        """Until a lease that is not renewed counts no more."""
        if entry.modified is None:
            return 0.0
        return SILENCE - (self.store.now(PLACE) - entry.modified).total_seconds()

    def in_use(self, holder: dict[str, Any]) -> UserError:
        return UserError(
            f"workdir={self.store.address!r} is in use by process {holder.get('pid')} of "
            f"{holder.get('host')}: wait for its end, or choose another --workdir"
        )

    def wait(self, holder: dict[str, Any], left: float) -> None:
        """Long enough for a live process to renew it, or for a dead one's to end."""
        who = f"process {holder.get('pid')} of {holder.get('host')}"
        with ProgressBar(f"{self.store.address}: is {who} still there?", left) as bar:
            end = time.monotonic() + min(left, 2 * RENEWAL) + 1
            while (now := time.monotonic()) < end:
                time.sleep(min(0.5, end - now))
                bar.reach(left - (end - time.monotonic()))

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL):
            with contextlib.suppress(Exception):  # said where something is to be written
                self.check()
                self.store.write(self.name, self.content(renewed=time.time()))

    def check(self) -> None:
        """Raises `StoreError` where another process has taken the workdir over."""
        numbers = self.numbers()
        if self.number in numbers and max(numbers) == self.number:
            return
        holder = read_holder(self.store, f"{PLACE}/{max(numbers, default=0):08d}")
        who = f"process {holder['pid']} of {holder.get('host')}" if "pid" in holder else "somebody"
        self._ended.set()
        raise StoreError(
            f"{self.store.address} was taken over by {who}, after this process was not heard of "
            f"for {SILENCE:.0f} seconds: it ends here, and has written nothing since"
        )

    def give_back(self) -> None:
        """Another may take it at once."""
        if not self._ended.is_set():
            self.abandon()
            self._thread.join()
            self.store.write(self.name, self.content(given_back=True))

    def abandon(self) -> None:
        """It is not renewed any more, and nothing is said in the store."""
        held_here.discard(self.id)
        self._ended.set()


def read_holder(store: Store, name: str) -> dict[str, Any]:
    """Who holds a lease, as far as it says so."""
    try:
        holder = json.loads(store.read(name) or b"{}")
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}
