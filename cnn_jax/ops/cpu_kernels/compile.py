"""The C++ of this folder, compiled once for this very processor, kept, and made known to JAX."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import jax

from cnn_jax.errors import unknown
from cnn_jax.ops.cpu_kernels.kept_library import is_whole, keep, private_folder, remove_unused
from cnn_jax.runtime.compilation_cache import processor_kind

FOLDER = "~/.cache/cnn_jax/native"
MOST_SECONDS = 600  # of a compilation that takes ten
SOURCES = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
TARGETS = (
    *("cnn_jax_forward", "cnn_jax_input_gradient", "cnn_jax_kernel_gradient"),
    *("cnn_jax_max_pool", "cnn_jax_max_pool_gradient"),
    *("cnn_jax_batch_norm", "cnn_jax_batch_norm_gradient"),
    *("cnn_jax_join", "cnn_jax_split", "cnn_jax_materialize"),
)
# What CNN_JAX_NATIVE can name. The first three are of convolutions without groups.
KERNELS = (
    *("forward", "input_gradient", "kernel_gradient", "grouped", "depthwise"),
    *("max_pool", "batch_norm", "flat_params", "materialize"),
    "kept_blocks",  # no operation: how XLA's large blocks are allocated
)
XLA_LIBRARIES = b"/jaxlib/"  # in their paths


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


class CompilationError(Exception):
    """The compiler failed, or did not end; its first line about it."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, known to JAX; None where there are none."""
    if not enabled():
        return None
    try:
        kernels = open_library()
    except FileNotFoundError:  # no compiler
        return None
    except (CompilationError, OSError) as error:
        print(f"warning: slower, for convolutions do not compile: {error}", file=sys.stderr)
        return None
    for target in TARGETS:
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(kernels[target]), platform="cpu")
    if "kept_blocks" in enabled():
        kernels.cnn_jax_keep_blocks(XLA_LIBRARIES)
    return kernels


def lanes() -> int:
    """The floats of a vector of this processor; 0 without kernels."""
    kernels = library()
    return kernels.cnn_jax_lanes() if kernels else 0


def open_library() -> ctypes.CDLL:
    """The shared library, compiled where it is not kept yet, or not kept whole.

    Raises `FileNotFoundError` where there is no compiler, `CompilationError` where it fails.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        raise FileNotFoundError("no C++ compiler")
    command = [*compiler.split(), *FLAGS, "-isystem", jax.ffi.include_dir()]
    command.append(str(SOURCES / "ffi_targets.cc"))
    try:
        folder = private_folder(Path(os.path.expanduser(FOLDER)) / processor_kind())
    except OSError as error:
        place = f"{error.filename} {error.strerror}"
        print(f"warning: convolutions are compiled at every start: {place}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            return ctypes.CDLL(str(compile_library(command, Path(scratch))))
    path = folder / f"{name_of(command)}.so"
    if not is_whole(path):
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            keep(compile_library(command, Path(scratch)), path)
        remove_unused(folder)
    return ctypes.CDLL(str(path))


def name_of(command: list[str]) -> str:
    """Another name for every source, flag and jaxlib."""
    sources = sorted(p for p in SOURCES.iterdir() if p.suffix in (".cc", ".h"))
    jaxlib_version = importlib.metadata.version("jaxlib")
    content = [*(path.read_text("utf-8") for path in sources), *command, jaxlib_version]
    return hashlib.sha256("\n".join(content).encode(errors="surrogateescape")).hexdigest()[:16]


def compile_library(command: list[str], folder: Path) -> Path:
    """The new library in `folder`; raises `CompilationError` where it fails or takes too long."""
    path = folder / "fresh.so"
    print("compiling convolutions for this processor, once", file=sys.stderr, flush=True)
    with subprocess.Popen(
        [*command, "-o", str(path)],
        env=os.environ | {"LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # the driver's children end with it
    ) as compiler:
        try:
            message = compiler.communicate(timeout=MOST_SECONDS)[1].decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            reason = f"{command[0]} ran for more than {MOST_SECONDS} s"
            raise CompilationError(reason) from error
        finally:
            if compiler.poll() is None:
                os.killpg(compiler.pid, signal.SIGKILL)
    if compiler.returncode or not path.exists():
        lines = [line for line in message.splitlines() if "error" in line]
        raise CompilationError(lines[0] if lines else f"{command[0]}: {compiler.returncode}")
    return path
