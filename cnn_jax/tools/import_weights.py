"""Weights of torchvision or timm as ours, with a verdict.

    python -m cnn_jax.tools.import_weights --model=NAME --weights=FILE --out=DIR [--reference=DIR]

FILE is a .safetensors file, or a .pth where torch is installed. DIR is complete: tensors, net,
class names (ImageNet's for a head of a thousand), preprocessing, SHA-256, and with
--published=resnet50.tv_in1k (`cnn_jax weights` lists the names) also figure and licence. With a
reference (a folder with `input.npy` and `logits.npy`, and optionally `feat_STAGE.npy`) the net is
run on its input, the largest difference of every stage is printed, and nothing is saved where one
exceeds 5e-3. Where float32 exceeds it, the net is run in float64 too, to tell a wrong net from
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.transfer import import_record, importer, parity, pretrained
from cnn_jax.transfer.weights import sha256

MODEL = flags.DEFINE_string("model", None, "registered name of the net", required=True)
WEIGHTS = flags.DEFINE_string("weights", None, ".safetensors or .pth file", required=True)
OUT = cli.define_folder("out", None, "folder to write", required=True)
REFERENCE = flags.DEFINE_string("reference", None, "folder with input.npy and logits.npy")
HEAD = flags.DEFINE_enum("head", "keep", ["keep", "drop"], "drop leaves the classifiers out")
NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "expected classes; default: the file's")
CLASSES = flags.DEFINE_string(
    "classes", "", "file with a name a line, imagenet, or none; default: imagenet where 1000"
)
LICENCE = flags.DEFINE_string("licence", "", "of the weights; default: that of --published")
PUBLISHED = flags.DEFINE_string(
    "published", "", "timm's name for the file, whose preprocessing, figure and licence are known"
)
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


def find_published(name: str, model: str) -> pretrained.Pretrained | None:
    """What is known of the file by timm's name for it; raises `UserError`."""
    row = pretrained.find(name, "published") if name else None
    if name and row is None:
        raise unknown("published", name, pretrained.table())
    if row is not None and row.model != model:
        raise UserError(f"--published={name} is {row.model}, and --model={model}: name the same")
    return row


def num_classes(imported: importer.ImportedNet) -> int:
    return imported.net.num_classes  # pyright: ignore[reportAttributeAccessIssue]


def main(argv: Sequence[str]) -> None:
    del argv
    drop = HEAD.value == "drop"
    published = find_published(PUBLISHED.value, MODEL.value)
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

    classes = () if drop else import_record.read_classes(CLASSES.value, num_classes(imported))
    if drop:
        imported = imported.without_head()
    source = {
        "names": imported.names.library,
        "file": Path(WEIGHTS.value).name,
        "sha256": digest,
    }
    description = import_record.describe(
        imported, source, transform, published, classes, LICENCE.value
    )
    description["largest_differences"] = largest_differences
    count = import_record.save_imported(Path(OUT.value), imported, description)
    if classes and not CLASSES.value:
        print(
            "classes: named as ImageNet's thousand; --classes=FILE names others, none leaves them"
        )
    checked = largest_differences is not None
    verdict = "checked against the reference" if checked else "not checked: no --reference"
    print(f"saved {MODEL.value}, {count:,} parameters, to {OUT.value} ({verdict})")


if __name__ == "__main__":
    cli.run(main)
