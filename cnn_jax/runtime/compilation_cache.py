"""Compiled programs are kept on disk, so that a second start of a net does not compile it again."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import sys
import warnings
from pathlib import Path
from typing import Any

FOLDER = "~/.cache/cnn_jax/compiled"
UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '([^']+)'")
LARGEST = 2 << 30  # bytes; what was used longest ago goes first
WORTH_A_FILE = 0.1  # seconds of compilation; what draws initial values takes 0.2, for every net


def enable_compilation_cache() -> None:
    """Tells JAX to keep programs in `FOLDER`, unless JAX_COMPILATION_CACHE_DIR names another.

    Each kind of processor has a folder of its own, because programs are compiled for what it can
    do and homes are shared. Where nothing can be written, nothing is kept.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = Path(FOLDER).expanduser() / processor_kind()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_max_size", LARGEST)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_A_FILE)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        remove_damaged(folder)


def remove_damaged(folder: Path) -> None:
    """From now on, what JAX warns that it cannot read is removed, and so written anew.

    JAX leaves half a program, of a process that was killed, where it is: at every start it would
    be compiled, with a warning.
    """
    show = warnings.showwarning

    def hook(message: Any, *where: Any, **more: Any) -> None:
        if (found := UNREADABLE.match(str(message))) is None:
            show(message, *where, **more)
            return
        marks = folder.glob(f"{glob.escape(found[1])}-*-atime")  # written as a program is read
        if read := sorted(marks, key=lambda path: path.read_bytes()[::-1]):
            read[-1].with_name(read[-1].name.removesuffix("-atime") + "-cache").unlink(True)
            read[-1].unlink(True)
        print(f"warning: the program kept of {found[1]} is damaged: compiled anew", file=sys.stderr)

    warnings.showwarning = hook


def processor_kind() -> str:
    """A name for the instructions that this processor has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("flags", "Features", "model name"))]
    kind = "\n".join([platform.machine(), platform.processor(), *sorted(set(told))])
    return f"{platform.machine()}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"
