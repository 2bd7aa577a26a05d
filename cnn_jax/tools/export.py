"""A trained net as one StableHLO program that JAX alone runs: any batch, CPU, CUDA and TPU.

    python -m cnn_jax.tools.export --workdir=RUN --out=DIR [--fold] [--input=uint8|float]
    python DIR/run_exported.py IMAGES.npy                     (needs jax and flatbuffers alone)
    python -m cnn_jax.tools.export --workdir=RUN --out=DIR --format=onnx

The program takes images [B, S, S, C] of the net's size, grey levels as uint8 or as float in [0, 1],
normalises them, and gives the logits of the named classes. Heads that only training computes are
left out. --fold takes each BatchNorm into the convolution or dense layer before it, and the outputs
are compared. Beside it lie the weights, their description with class names, resizing and figures,
and the run's config: DIR is a folder of weights, which `cnn_jax.load` and `export` open too.

StableHLO files expire, and the last line says when. ONNX goes through jax2onnx, which needs an
environment of its own; onnxruntime's outputs are then compared with JAX's.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, printable

FORMATS = ("stablehlo", "onnx")


def export(
    workdir: str, out: Path, folded: bool, inputs: str, target: str, licence: str = ""
) -> None:
    """Writes the folder, and prints what it is; raises `UserError`."""
    from cnn_jax.inference import exporting, onnx_file
    from cnn_jax.inference.loading import load
    from cnn_jax.inference.weights_folder import provenance, write_weights_folder
    from cnn_jax.runtime.progress import ProgressBar
    from cnn_jax.transfer import pretrained

    origin = pretrained.locate(workdir, "workdir")
    if out.resolve() == origin.resolve():
        raise UserError(f"--out={str(out)!r} is the workdir itself: name another folder")
    net = load(origin)
    provenance(net, origin, licence)  # raises for a damaged file before anything is written
    if folded:
        print(f"folded: outputs differ by {exporting.check_folded(net):.1e}")
    with ProgressBar("exporting", 2) as bar:
        if target == "onnx":
            path, difference = onnx_file.write_onnx(net, out, folded, inputs)
            last = f"onnxruntime's outputs differ from JAX's by {difference:.1e}"
        else:
            path = exporting.write_program(exporting.export_program(net, folded, inputs), out)
            last = exporting.expiry(datetime.date.today())
        bar.advance(description="writing the weights beside it")
        write_weights_folder(net, origin, out, licence)
        if (origin / "config.json").is_file():
            shutil.copyfile(origin / "config.json", out / "config.json")
    shape = ", ".join(map(str, net.preparation.image_shape))
    size = path.stat().st_size / 1e6
    print(printable(f"{path}: {net.name}, {inputs} images [B, {shape}], {size:.1f} MB"))
    print(last)


def main(argv: Sequence[str]) -> None:
    del argv
    options = (FOLD.value, INPUT.value, FORMAT.value, LICENCE.value)
    export(WORKDIR.value, Path(OUT.value).expanduser(), *options)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    WORKDIR = flags.DEFINE_string("workdir", None, "A run, or a folder of weights.", required=True)
    OUT = cli.define_folder("out", None, "Folder to write.", required=True)
    FOLD = flags.DEFINE_bool("fold", False, "BatchNorm taken into the layers before it.")
    INPUT = flags.DEFINE_enum("input", "uint8", ["uint8", "float"], "What the program takes.")
    FORMAT = flags.DEFINE_enum("format", "stablehlo", FORMATS, "StableHLO, or ONNX.")
    LICENCE = flags.DEFINE_string("licence", "", "Of the weights, written beside them.")
    cli.run(main)
