"""What this process holds in memory, by /proc/self."""

from __future__ import annotations

import re
from pathlib import Path

from cnn_jax.runtime.malloc import give_freed_memory_back


def megabytes(key: str) -> float:
    """`VmRSS` now, `VmHWM` at the most."""
    found = re.search(rf"{key}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


class Peak:
    """The most that is held from now on, above what is held now."""

    def __init__(self) -> None:
        give_freed_memory_back()
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        self.before = megabytes("VmRSS")

    def check(self, limit: float) -> float:
        """That in megabytes; raises `AssertionError` where it is over `limit`."""
        rise = megabytes("VmHWM") - self.before
        if rise > limit:
            raise AssertionError(f"memory rose by {rise:.0f} MB, over {limit:.0f}")
        return rise
