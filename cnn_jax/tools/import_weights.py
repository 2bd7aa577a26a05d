"""Weights of torchvision or timm as ours, with a verdict.

    python -m cnn_jax.tools.import_weights --model=NAME --weights=FILE --out=DIR [--reference=DIR]

FILE is a .safetensors file, or a .pth where torch is installed. With a reference (a folder with
`input.npy` and `logits.npy`, and optionally `feat_STAGE.npy`) the net is run on its input, the
largest difference of every stage is printed, and nothing is saved where one exceeds 5e-3. Where
float32 exceeds it, the net is run in float64 too, to tell a wrong net from rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnn_jax.cli import run
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.transfer import importer, parity
from cnn_jax.transfer.weights import save_weights, sha256

MODEL = flags.DEFINE_string("model", None, "registered name of the net", required=True)
WEIGHTS = flags.DEFINE_string("weights", None, ".safetensors or .pth file", required=True)
OUT = flags.DEFINE_string("out", None, "folder to write", required=True)
REFERENCE = flags.DEFINE_string("reference", None, "folder with input.npy and logits.npy")
HEAD = flags.DEFINE_enum("head", "keep", ["keep", "drop"], "drop leaves the classifiers out")
NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "expected classes; default: the file's")
TRANSFORM = flags.DEFINE_boolean(
    "transform_input",
    None,
    "the net re-normalises its inputs to mean 0.5, std 0.5, as torchvision's published GoogLeNet "
    "and Inception v3 do; default: by the file's hash or the reference's meta.json",
)


def check_parity(
    imported: importer.ImportedNet, folder: str, transform: bool
) -> list[parity.Difference]:
    """Prints every stage's difference from the reference; raises where one is too large."""
    reference = parity.Reference.read(folder)
    with ProgressBar("computing the reference's stages"):
        differences, missing = parity.compare(imported, reference, transform)
    print(f"{'stage':24}{'ours':24}{'difference':>12}{'in float64':>12}{'rounding':>12}")
    for difference in differences:
        numbers = (difference.largest, difference.exact, difference.rounding)
        row = "".join(f"{'' if n is None else f'{n:.2e}':>12}" for n in numbers)
        print(f"{difference.name:24}{difference.point:24}{row}")
    for name in missing:
        print(f"{name:24}(no counterpart: not compared)")
    for difference in differences:
        if not difference.agrees:
            raise UserError(
                f"not saved: {difference.name} differs from the reference by "
                f"{difference.largest:.2e}, more than {parity.TOLERANCE:.0e}"
            )
    return differences


def main(argv: Sequence[str]) -> None:
    del argv
    drop = HEAD.value == "drop"
    with ProgressBar(f"reading {WEIGHTS.value}", 2) as bar:
        imported = importer.import_weights(MODEL.value, WEIGHTS.value, NUM_CLASSES.value, drop)
        bar.advance(description="hashing it")
        digest = sha256(WEIGHTS.value)
    if imported.prefix:
        print(f"all names begin with {imported.prefix!r}, which is taken off")
    transform = TRANSFORM.value
    if transform is None:
        transform = importer.detect_transform_input(imported, digest, REFERENCE.value)
    if imported.names.transforms_input and not transform and not REFERENCE.value:
        print("note: torchvision's published weights of this net need --transform_input")
    if transform and not imported.names.transforms_input:
        raise UserError(f"transform_input: {MODEL.value} has no such form")

    largest_differences = None
    if REFERENCE.value:
        differences = check_parity(imported, REFERENCE.value, transform)
        largest_differences = {one.name: one.largest for one in differences}

    if drop:
        imported = imported.without_head()
    description = {
        "model": MODEL.value,
        "num_classes": None if drop else imported.net.num_classes,
        "options": imported.options,
        "source": {
            "names": imported.names.library,
            "file": Path(WEIGHTS.value).name,
            "sha256": digest,
        },
        "preprocessing": importer.preprocessing_record(imported, transform),
        "largest_differences": largest_differences,
    }
    variables = imported.variables()
    save_weights(OUT.value, variables["params"], variables.get("batch_stats", {}), description)
    count = sum(value.size for value in imported.params.values())
    checked = largest_differences is not None
    verdict = "checked against the reference" if checked else "not checked: no --reference"
    print(f"saved {MODEL.value}, {count:,} parameters, to {OUT.value} ({verdict})")


if __name__ == "__main__":
    run(main)
