"""What this machine's own C++ compiler makes for it, where it has one: `jax.ffi` calls on the CPU.

A convolution of few channels takes XLA up to eight times as long as it needs, and before a gradient
it brings whole maps into another layout. `convolve.h` and the kernel's gradients copy a few rows at
a time instead, and compute all groups within one call. `depthwise.h` and `max_pool.h` go over their
maps once. No sum depends on the number of threads. A library would do as well, but none with
convolutions of its own (oneDNN) is packaged so that it shares XLA's threads. They are compiled
once, in some seconds, for this very processor, and kept. CNN_JAX_NATIVE=0 leaves them out, and so
does a machine without a compiler: nets then compute the same by XLA alone.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

from cnn_jax.runtime.compilation_cache import processor_kind

FOLDER = "~/.cache/cnn_jax/native"
SOURCES = Path(__file__).parent
CONVOLUTIONS = ("cnn_jax_forward", "cnn_jax_input_gradient", "cnn_jax_kernel_gradient")
POOLS = ("cnn_jax_max_pool", "cnn_jax_max_pool_gradient")
PIECES = ("cnn_jax_join", "cnn_jax_split")
ONCE = "cnn_jax_materialize"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")

HW = tuple[int, int]
Shape = tuple[int, ...]


def forward(x: jax.Array, kernel: jax.Array, out: Shape, stride: HW, corner: HW) -> jax.Array:
    """The convolution of maps x [N, H, W, C] with a kernel [h, w, C / groups, F], of shape `out`.

    Here and below float32, and only where `library()` is not None; `corner` is the padding above
    and on the left. Shapes that do not fit raise `jax.errors.JaxRuntimeError` when it runs.
    """
    shape = jax.ShapeDtypeStruct(out, x.dtype)
    return call("cnn_jax_forward", shape, stride, corner)(x, kernel)


def input_gradient(
    gradient: jax.Array, kernel: jax.Array, out: Shape, stride: HW, corner: HW
) -> jax.Array:
    """Its gradient by the maps, of shape `out`, from `gradient` [N, H', W', F]."""
    shape = jax.ShapeDtypeStruct(out, gradient.dtype)
    return call("cnn_jax_input_gradient", shape, stride, corner)(gradient, kernel)


def kernel_gradient(
    x: jax.Array, gradient: jax.Array, out: Shape, stride: HW, corner: HW
) -> jax.Array:
    """Its gradient by the kernel, of shape `out`, from the maps and `gradient` [N, H', W', F]."""
    shape = jax.ShapeDtypeStruct(out, x.dtype)
    return call("cnn_jax_kernel_gradient", shape, stride, corner)(x, gradient)


def max_pool(
    x: jax.Array, window: HW, out: Shape, stride: HW, corner: HW
) -> tuple[jax.Array, jax.Array]:
    """The maximum over windows, of shape `out`, and its place in the window, row by row, int8."""
    shapes = (jax.ShapeDtypeStruct(out, x.dtype), jax.ShapeDtypeStruct(out, np.int8))
    best, place = call("cnn_jax_max_pool", shapes, stride, corner, window)(x)
    return best, place


def max_pool_gradient(
    place: jax.Array, gradient: jax.Array, window: HW, out: Shape, stride: HW, corner: HW
) -> jax.Array:
    """Its gradient by the maps, of shape `out`."""
    shape = jax.ShapeDtypeStruct(out, gradient.dtype)
    call_it = call("cnn_jax_max_pool_gradient", shape, stride, corner, window)
    return call_it(place, gradient)


def materialize(x: jax.Array) -> jax.Array:
    """`x`, in the memory where it is; no fusion goes through it."""
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    keeping = {"vmap_method": "sequential", "input_output_aliases": {0: 0}}
    return jax.ffi.ffi_call(ONCE, shape, **keeping)(x)


def join(arrays: Sequence[jax.Array]) -> jax.Array:
    """The numbers of all arrays, [n], one array behind the other."""
    shape = jax.ShapeDtypeStruct((sum(a.size for a in arrays),), np.float32)
    return jax.ffi.ffi_call("cnn_jax_join", shape, vmap_method="sequential")(*arrays)


def split(x: jax.Array, shapes: Sequence[Shape]) -> list[jax.Array]:
    """Arrays of these shapes, of the numbers of `x` one behind the other."""
    out = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    # Two calls must not become one: their results would be copied, in a program for each.
    alone = {"has_side_effect": True, "vmap_method": "sequential"}
    return jax.ffi.ffi_call("cnn_jax_split", out, **alone)(x)


def call(
    target: str, out: Any, stride: HW, corner: HW, window: HW | None = None
) -> Callable[..., Any]:
    """What calls the compiled operation, with its numbers."""
    numbers = {"stride_y": stride[0], "stride_x": stride[1], "top": corner[0], "left": corner[1]}
    if window:
        numbers |= {"window_y": window[0], "window_x": window[1]}
    numbers = {key: np.int64(value) for key, value in numbers.items()}
    return functools.partial(jax.ffi.ffi_call(target, out, vmap_method="sequential"), **numbers)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled operations, known to JAX; None where there are none."""
    if os.environ.get("CNN_JAX_NATIVE", "1") == "0":
        return None
    try:
        found = load(build())
    except OSError:
        return None
    except subprocess.CalledProcessError as error:
        told = [line for line in error.stderr.splitlines() if "error" in line] or [str(error)]
        print(f"warning: slower, for convolutions do not compile: {told[0]}", file=sys.stderr)
        return None
    for target in (*CONVOLUTIONS, *POOLS, *PIECES, ONCE):
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(found[target]), platform="cpu")
    return found


def load(kept: Path) -> ctypes.CDLL:
    """The library of a file, which goes where it is none: a later start makes it again."""
    try:
        return ctypes.cdll.LoadLibrary(str(kept))
    except OSError:
        kept.unlink(missing_ok=True)
        raise


def build() -> Path:
    """The shared library, compiled where it is not kept yet.

    Raises `OSError` where there is no compiler or nothing can be written, and
    `subprocess.CalledProcessError` where it fails.
    """
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("clang++")
    if not compiler:
        raise FileNotFoundError("no C++ compiler")
    command = [*compiler.split(), *FLAGS, "-isystem", jax.ffi.include_dir()]
    command.append(str(SOURCES / "operations.cc"))
    sources = sorted(p for p in SOURCES.iterdir() if p.suffix in (".cc", ".h"))
    told = [*(path.read_text() for path in sources), *command, jaxlib.__version__]
    name = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    folder = Path(FOLDER).expanduser() / processor_kind()
    kept = folder / f"{name}.so"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print("compiling convolutions for this processor, once", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / kept.name
            subprocess.run([*command, "-o", str(fresh)], check=True, capture_output=True, text=True)
            fresh.replace(kept)  # at once: another process may be at it too
    return kept
