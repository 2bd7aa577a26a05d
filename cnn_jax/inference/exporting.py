"""A trained net as one program for any batch size on CPU, CUDA and TPU, preprocessing inside."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from cnn_jax import ops
from cnn_jax.errors import UserError
from cnn_jax.inference.folding import fold
from cnn_jax.inference.loaded_net import LoadedNet
from cnn_jax.runtime.result_files import write_result

PROGRAM, LOADER = "net.stablehlo", "run_exported.py"
PLATFORMS = ("cpu", "cuda", "tpu")
INPUTS = {"uint8": jnp.uint8, "float": jnp.float32}  # grey levels, or those from 0 to 1
MONTHS = 6  # that JAX goes on reading what it exported
TOLERANCE = 1e-4  # of a folded net's outputs, beside those of the net as it is
CHECKED = 4  # images


def make_function(net: LoadedNet, folded: bool = False, inputs: str = "uint8") -> Callable:
    """images [B, S, S, C] -> logits [B, classes], or numbers [B, 1] in the task's unit.

    Without heads that only training computes; with plain operations, as any platform has them.
    """
    variables, task = jax.device_get(net.variables), net.task
    if folded:
        apply, variables = fold(net.model, variables, net.preparation.image_shape)
    else:

        def apply(variables: Any, images: jax.Array) -> Any:
            return net.model.apply(variables, images, train=False)

    def function(images: jax.Array) -> jax.Array:
        grey = images.astype(jnp.float32) * (255 if inputs == "float" else 1)
        with ops.reference_ops():
            logits = apply(variables, net.preparation.normalise(grey)).logits
        logits = logits.astype(jnp.float32)
        if task.kind == "regression":
            return logits[:, :1] * task.std + task.mean
        return logits[:, : len(task.classes)]

    return function


def export_program(net: LoadedNet, folded: bool = False, inputs: str = "uint8") -> export.Exported:
    """The function for a batch of any size; JAX refuses calls that other machines may lack."""
    sides = ", ".join(map(str, net.preparation.image_shape))
    shape = export.symbolic_shape(f"b, {sides}")
    function = jax.jit(make_function(net, folded, inputs))
    return export.export(function, platforms=PLATFORMS)(jax.ShapeDtypeStruct(shape, INPUTS[inputs]))


def check_folded(net: LoadedNet) -> float:
    """The largest difference of the folded net's outputs; raises `UserError` where it is large."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (CHECKED, *net.preparation.image_shape), np.uint8)
    plain, folded = (np.asarray(jax.jit(make_function(net, f))(images)) for f in (False, True))
    difference = float(np.abs(plain - folded).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(plain).max())):
        raise UserError(f"--fold changes the outputs by {difference:.1e}: export without it")
    return difference


def write_program(program: export.Exported, out: Path) -> Path:
    """The program and the ten lines that run it; returns the program's path."""
    try:
        content = program.serialize()
    except ImportError as error:
        raise UserError('export needs flatbuffers: pip install "cnn_jax[export]"') from error
    out.mkdir(parents=True, exist_ok=True)
    write_result("the program", out / PROGRAM, content)
    write_result("its loader", out / LOADER, Path(__file__).with_name(LOADER).read_text())
    return out / PROGRAM


def expiry(today: datetime.date) -> str:
    """How long JAX promises to read the program, in words.

    The promise counts from the release of the JAX that wrote it, whose date JAX does not tell: it
    ends at the latest half a year from today.
    """
    years, month = divmod(today.month - 1 + MONTHS, 12)
    year, month = today.year + years, month + 1
    last = min(today.day, calendar.monthrange(year, month)[1])
    return (
        f"written by JAX {jax.__version__}: read by JAX released up to {MONTHS} months after it "
        f"(no later than {datetime.date(year, month, last)}) or up to 3 weeks before; "
        "then export the folder again, from the weights beside the program"
    )
