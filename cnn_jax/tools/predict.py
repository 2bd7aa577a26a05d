"""What a trained net says of images: the most probable classes of each.

    python -m cnn_jax.tools.predict --workdir=runs/flowers photo.jpg
    python -m cnn_jax.tools.predict --workdir=runs/flowers PHOTOS --top=1 --format=csv > flowers.csv
    python -m cnn_jax.tools.predict --workdir=weights/resnet50 a.jpg b.png FOLDER --format=json

A folder stands for the image files in it, at any depth. Images are decoded a little ahead of the
net, so that memory does not grow with their number. Those that cannot be read are named on stderr
and left out, and the exit status is then 2. A CSV has one row an image and class; JSON is one list.
Characters that a terminal would obey are escaped; JSON has every name as it is.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence

from absl import flags

import cnn_jax
from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.inference.image_stream import NamedImage, find_images
from cnn_jax.inference.predictions import Prediction, Predictions

FORMULA = ("=", "+", "-", "@")  # how a cell begins that a spreadsheet would compute
Lines = Iterator[Prediction]


def main(argv: Sequence[str]) -> int | None:
    if len(argv) < 2:
        raise UserError("name images, or folders of images, after the flags")
    if TOP.value < 1:
        raise UserError(f"--top={TOP.value} is out of range: choose a number >= 1")
    images = find_images([*argv[1:]])
    net = cnn_jax.load(WORKDIR.value)
    if PROTOCOL.value:
        net = net.by_protocol(PROTOCOL.value)
    bad: dict[str, str] = {}
    parts = net.predict_batches(images, bad, BATCH_SIZE.value, warn)
    FORMATS[FORMAT.value](each(parts), images, TOP.value)
    if bad:
        line = f"{len(bad)} of {len(images)} images cannot be read: exit status 2"
        print(line, file=sys.stderr)
        return 2
    return None


def warn(name: str, reason: str) -> None:
    print(printable(f"warning: {name}: {reason}; left out"), file=sys.stderr, flush=True)


def each(parts: Iterator[Predictions]) -> Lines:
    """One prediction after another, of one batch after another."""
    for part in parts:
        yield from part


def write_table(found: Lines, images: Sequence[NamedImage], top: int) -> None:
    """One line an image: its name, then each class with its probability."""
    width = min(60, max(len(printable(image.name)) for image in images))
    for one in found:
        if one.task.kind == "regression":
            cells = [f"{one.value:.4g} {printable(one.task.unit)}".rstrip()]
        else:
            cells = [f"{printable(name)} {share:.3f}" for name, share in one.top(top)]
        print(f"{printable(one.name):{width}}  {'  '.join(cells)}", flush=True)


def write_csv(found: Lines, images: Sequence[NamedImage], top: int) -> None:
    """One row an image and class, the most probable first."""
    del images
    rows, head = csv.writer(sys.stdout, lineterminator="\n"), False
    for one in found:
        if not head:
            kind = one.task.kind == "classification"
            rows.writerow(["image", "rank", "class", "probability"] if kind else ["image", "value"])
            head = True
        if one.task.kind == "regression":
            rows.writerow([cell(one.name), f"{one.value:.7g}"])
            continue
        for rank, (name, share) in enumerate(one.top(top), 1):
            rows.writerow([cell(one.name), rank, cell(name), f"{share:.6g}"])


def cell(text: str) -> str:
    """A name that neither a terminal nor a spreadsheet obeys."""
    return ("'" if text.startswith(FORMULA) else "") + printable(text)


def write_json(found: Lines, images: Sequence[NamedImage], top: int) -> None:
    """One list, an object an image, a line each."""
    del images
    print("[", end="")
    for number, one in enumerate(found):
        record: dict[str, object] = {"image": one.name}
        if one.task.kind == "regression":
            record |= {"value": one.value, "unit": one.task.unit}
        else:
            shares = [{"class": name, "probability": share} for name, share in one.top(top)]
            record["top"] = shares
        print(",\n " if number else "\n ", json.dumps(record), sep="", end="")
    print("\n]")


FORMATS: dict[str, Callable[[Lines, Sequence[NamedImage], int], None]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
}

if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    WORKDIR = flags.DEFINE_string("workdir", None, "A run, or a folder of weights.", required=True)
    TOP = flags.DEFINE_integer("top", 5, "Classes of each image, the most probable first.")
    FORMAT = flags.DEFINE_enum("format", "table", list(FORMATS), "How they are written.")
    PROTOCOL = flags.DEFINE_string("protocol", None, "How images are read; default: the run's.")
    BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images that the net takes at once.")
    cli.run(main, operands=sys.maxsize)
