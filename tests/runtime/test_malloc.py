"""Freed memory stays with the process where glibc allows it."""

import os
import platform
import subprocess
import sys

import pytest

from cnn_jax.runtime import malloc

PROGRAM = """
import resource, sys
import numpy as np
from cnn_jax.runtime.malloc import retain_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(25_000_000)  # 200 MB, 48,828 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] != "given back":
    assert retain_freed_memory() == (sys.argv[1] == "kept")
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize(
    ("how", "platforms", "least", "most"),
    [
        ("kept", "cpu", 0, 100),
        ("given back", "cpu", 200, 99_999),
        ("as it is", "cuda", 200, 99_999),
    ],
)
def test_pages_are_paid_for_once(how, platforms, least, most):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": platforms},
    )
    assert done.returncode == 0, done.stderr
    assert least <= int(done.stdout) <= most


@pytest.mark.parametrize(
    ("platforms", "driver", "seen"),
    [("", False, False), ("", True, True), ("cpu", True, False), ("cuda,cpu", False, True)],
)
def test_an_accelerator_is_looked_for_without_jax(platforms, driver, seen, monkeypatch, tmp_path):
    (tmp_path / "nvidiactl").touch()
    path = tmp_path / "nvidiactl" if driver else tmp_path / "none"
    monkeypatch.setattr(malloc, "DEVICES", (str(path),))
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert malloc.accelerator_in_sight() == seen
