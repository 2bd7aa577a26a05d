"""A trained net as an ONNX file, by jax2onnx, compared in onnxruntime."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax import ops
from cnn_jax.errors import UserError
from cnn_jax.inference.exporting import INPUTS, TOLERANCE, make_function
from cnn_jax.inference.loaded_net import LoadedNet

FILE = "net.onnx"
BATCHES = (1, 3)  # that are compared
HINT = (
    "needs jax2onnx and onnxruntime, in an environment of its own, whose Orbax is older than ours: "
    "docs/guide/use.md has the command"
)


@dataclasses.dataclass(frozen=True)
class NamedShape:
    """An array whose first axis has a name: its length is not known."""

    shape: tuple[str | int, ...]
    dtype: Any


def write_onnx(net: LoadedNet, out: Path, folded: bool, inputs: str) -> tuple[Path, float]:
    """(the file, the largest difference of onnxruntime's outputs from JAX's).

    Raises `UserError`, and leaves no file, where they differ.
    """
    try:
        import jax2onnx  # pyright: ignore[reportMissingImports]
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(f"--format=onnx {HINT} ({error})") from error
    out.mkdir(parents=True, exist_ok=True)
    path, partial = out / FILE, out / f"{FILE}.partial"
    function, size = make_function(net, folded, inputs), net.preparation.image_shape

    def portable(images: jax.Array) -> jax.Array:
        with ops.portable_ops():
            return function(images)

    jax2onnx.to_onnx(
        portable,
        inputs=[NamedShape(("B", *size), INPUTS[inputs])],
        return_mode="file",
        output_path=str(partial),
        export_mode="web",  # one file
    )
    difference = compare(onnxruntime.InferenceSession(str(partial)), function, size, inputs)
    if not difference <= TOLERANCE:
        partial.unlink()
        raise UserError(
            f"--format=onnx: onnxruntime's outputs differ from JAX's by {difference:.1e} of their "
            f"scale, more than {TOLERANCE:.0e}: no file is written"
        )
    partial.replace(path)
    return path, difference


def compare(session: Any, function: Callable, size: tuple[int, ...], inputs: str) -> float:
    """The largest difference over batches, as a part of the largest output where that is over 1."""
    rng, worst = np.random.default_rng(0), 0.0
    for batch in BATCHES:
        images = rng.integers(0, 256, (batch, *size), np.uint8)
        if inputs == "float":
            images = np.float32(images / 255)
        expected = np.asarray(jax.jit(function)(images))
        (found,) = session.run(None, {session.get_inputs()[0].name: images})
        scale = max(1.0, float(np.abs(expected).max()))
        worst = max(worst, float(np.abs(found - expected).max()) / scale)
    return worst
