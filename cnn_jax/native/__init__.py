"""What this machine's own C++ compiler makes for it, where it has one: `jax.ffi` calls on the CPU.

XLA's kernel gradients bring both maps into another layout first. `kernel_gradient.cc` reads them
as they are: a third less time for large maps, and its sums do not depend on the number of
threads. A library would do as well, but none with convolutions of its own (oneDNN) is packaged so
that it shares XLA's threads. It is compiled once, in some seconds, for this very processor, and
kept. CNN_JAX_NATIVE=0 leaves it out, and so does a machine without a compiler: nets then compute
the same by XLA alone.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib
import numpy as np
from absl import logging

from cnn_jax.compiled import processor_kind

FOLDER = "~/.cache/cnn_jax/native"
SOURCE = Path(__file__).with_name("kernel_gradient.cc")
TARGET = "cnn_jax_kernel_gradient"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
FEATURES = 4  # a multiple of them is taken


def kernel_gradient(
    x: jax.Array,
    gradient: jax.Array,
    window: tuple[int, int],
    stride: tuple[int, int],
    corner: tuple[int, int],
) -> jax.Array:
    """[h, w, C, F] of maps x [N, H, W, C] and the gradient of the convolution, [N, H', W', F].

    float32, F a multiple of `FEATURES`; `corner` is the padding above and on the left. Only where
    `library()` is not None.
    """
    numbers = {"stride_y": stride[0], "stride_x": stride[1], "top": corner[0], "left": corner[1]}
    shape = jax.ShapeDtypeStruct((*window, x.shape[-1], gradient.shape[-1]), x.dtype)
    call = jax.ffi.ffi_call(TARGET, shape, vmap_method="sequential")
    return call(x, gradient, **{key: np.int64(value) for key, value in numbers.items()})


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled operations, known to JAX; None where there are none."""
    if os.environ.get("CNN_JAX_NATIVE", "1") == "0":
        return None
    try:
        found = load(build())
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        logging.info("no native operations: %s", said.strip().splitlines()[0])
        return None
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(found[TARGET]), platform="cpu")
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
    command = [*compiler.split(), *FLAGS, "-isystem", jax.ffi.include_dir(), str(SOURCE)]
    told = [SOURCE.read_text(), *command, jaxlib.__version__]
    name = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    folder = Path(FOLDER).expanduser() / processor_kind()
    kept = folder / f"{name}.so"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / kept.name
            subprocess.run([*command, "-o", str(fresh)], check=True, capture_output=True, text=True)
            fresh.replace(kept)  # at once: another process may be at it too
    return kept
