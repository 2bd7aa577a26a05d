"""The C++ of this folder, compiled once for this very processor, kept, and made known to JAX."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from cnn_jax.errors import unknown
from cnn_jax.runtime.compilation_cache import processor_kind

FOLDER = "~/.cache/cnn_jax/native"
SOURCES = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
TARGETS = (
    *("cnn_jax_forward", "cnn_jax_input_gradient", "cnn_jax_kernel_gradient"),
    *("cnn_jax_max_pool", "cnn_jax_max_pool_gradient"),
    *("cnn_jax_join", "cnn_jax_split", "cnn_jax_materialize"),
)
# What CNN_JAX_NATIVE can name. The first three are of convolutions without groups.
KERNELS = (
    *("forward", "input_gradient", "kernel_gradient", "grouped", "depthwise"),
    *("max_pool", "flat_params", "materialize"),
)


@functools.cache
def enabled() -> frozenset[str]:
    """The kernels to be used: all, none for CNN_JAX_NATIVE=0, or those that it lists by commas."""
    value = os.environ.get("CNN_JAX_NATIVE", "1")
    if value in ("0", "1"):
        return frozenset(KERNELS if value == "1" else ())
    for name in value.split(","):
        if name not in KERNELS:
            raise unknown("CNN_JAX_NATIVE", name, ("0", "1", *KERNELS))
    return frozenset(value.split(","))


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, known to JAX; None where there are none."""
    if not enabled():
        return None
    try:
        kernels = load_library(compile_library())
    except OSError:
        return None
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if "error" in line] or [str(error)]
        print(f"warning: slower, for convolutions do not compile: {lines[0]}", file=sys.stderr)
        return None
    for target in TARGETS:
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(kernels[target]), platform="cpu")
    return kernels


def load_library(path: Path) -> ctypes.CDLL:
    """The library of a file, which goes where it is none: a later start makes it again."""
    try:
        return ctypes.cdll.LoadLibrary(str(path))
    except OSError:
        path.unlink(missing_ok=True)
        raise


def compile_library() -> Path:
    """The shared library, compiled where it is not kept yet.

    Raises `OSError` where there is no compiler or nothing can be written, and
    `subprocess.CalledProcessError` where it fails.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        raise FileNotFoundError("no C++ compiler")
    command = [*compiler.split(), *FLAGS, "-isystem", jax.ffi.include_dir()]
    command.append(str(SOURCES / "ffi_targets.cc"))
    sources = sorted(p for p in SOURCES.iterdir() if p.suffix in (".cc", ".h"))
    jaxlib_version = importlib.metadata.version("jaxlib")
    content = [*(path.read_text() for path in sources), *command, jaxlib_version]
    name = hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]
    folder = Path(FOLDER).expanduser() / processor_kind()
    path = folder / f"{name}.so"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print("compiling convolutions for this processor, once", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / path.name
            subprocess.run([*command, "-o", str(fresh)], check=True, capture_output=True, text=True)
            fresh.replace(path)  # at once: another process may be at it too
    return path
