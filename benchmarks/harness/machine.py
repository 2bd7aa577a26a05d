"""What an experiment ran on, for the header of its results."""

from __future__ import annotations

import datetime
import os
import platform
import re
from pathlib import Path
from typing import Any

import jax

from cnn_jax.runtime import workdir


def machine() -> dict[str, Any]:
    """Hardware, versions, commit and day."""
    device = jax.devices()[0]
    return {
        "device": processor() if device.platform == "cpu" else device.device_kind,
        "devices": jax.device_count(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": workdir.versions(),
        "commit": workdir.git_commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, where the system tells it, and its number, where the name has none."""
    try:
        text = path.read_text()
    except OSError:
        return platform.processor() or platform.machine()
    told = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    name = told.get("model name", platform.machine())
    if any(map(str.isdigit, name)) or "cpu family" not in told:
        return name
    return f"{name}, family {told['cpu family']} model {told['model']}"


def in_words(found: dict[str, Any]) -> str:
    """One line for people."""
    versions = found["versions"]
    return (
        f"{found['device']}, {found['devices']} device(s), {found['cpus']} cores; "
        f"jax {versions['jax']}, flax {versions['flax']}; commit {found['commit'][:12]}, "
        f"{found['date']}"
    )
