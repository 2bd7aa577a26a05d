"""What a program must not do because of a file of data, by `sys.addaudithook`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

EVIL = "evil_module"  # whose import, or call, hostile files ask for
FORBIDDEN = (
    *("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"),
    *("os.spawn", "os.fork", "os.forkpty", "pty.spawn", "socket.connect", "os.putenv"),
)
SEEN: list[str] | None = None  # while something is watched; a hook cannot be taken off


def hook(event: str, arguments: tuple) -> None:
    if SEEN is None:
        return
    if event in FORBIDDEN:
        SEEN.append(f"{event} {arguments!r:.200}")
    elif event == "import" and EVIL in str(arguments[0]):
        SEEN.append(f"{event} {arguments[0]!r:.200}")
    elif event == "exec" and EVIL in str(getattr(arguments[0], "co_names", "")):
        SEEN.append(f"exec {arguments[0]!r:.200}")


sys.addaudithook(hook)


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raises `AssertionError` naming what was done within."""
    global SEEN
    SEEN = []
    try:
        yield
        seen = SEEN
    finally:
        SEEN = None
    if seen:
        raise AssertionError(f"the program did {'; '.join(seen)}")
    if EVIL in sys.modules:
        raise AssertionError(f"{EVIL} was imported")
