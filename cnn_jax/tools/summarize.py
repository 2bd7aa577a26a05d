"""What a net is made of, what it costs and what it sees; or all nets in one table and chart.

    python -m cnn_jax.tools.summarize resnet50
    python -m cnn_jax.tools.summarize resnet50 --input_size=64 --num_classes=10 --layers
    python -m cnn_jax.tools.summarize alexnet --option=towers=1 --option=lrn=False --json
    python -m cnn_jax.tools.summarize --all --out=nets.png

One row a stage: output, kernels, stride, parameters, multiply-adds, and of its output the receptive
field, the jump (pixels from one position to the next) and the padding (how far the first position
reaches out of the image). Memory is the activations that convolutions, dense layers and pools put
out for one image in float32. A position behind a flattening or a global pool sees the whole image.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import models
from cnn_jax.analysis import chart, tables
from cnn_jax.analysis.published import table
from cnn_jax.analysis.stages import summarize
from cnn_jax.cli import run
from cnn_jax.errors import UserError


def main(argv: Sequence[str]) -> None:
    if ALL.value:
        if len(argv) > 1 or OPTION.value or INPUT_SIZE.value or NUM_CLASSES.value:
            raise UserError("--all takes no name, options, size or classes: every net as it stands")
        summarize_all(Path(OUT.value))
    elif len(argv) > 1:
        summarize_one(argv[1])
    else:
        raise UserError(f"name a net, or give --all; the nets: {', '.join(models.names())}")


def summarize_one(name: str) -> None:
    """One net as the flags have it."""
    module = models.create(name, NUM_CLASSES.value, **parse_options(OPTION.value))
    height, width, channels = models.REGISTRY[name].input_shape
    if INPUT_SIZE.value is not None:
        if INPUT_SIZE.value < 1:
            raise UserError(f"--input_size={INPUT_SIZE.value} is no number of pixels")
        height = width = INPUT_SIZE.value
    summary = summarize(module, (height, width, channels))
    changed = OPTION.value or NUM_CLASSES.value or INPUT_SIZE.value
    figures = None if changed else table().get(name)  # they are of the net as the paper has it
    if JSON.value:
        options = parse_options(OPTION.value)
        print(json.dumps({"name": name, "options": options, **tables.as_json(summary, figures)}))
        return
    print(", ".join([name, f"{height}x{width}x{channels}", *OPTION.value]) + "\n")
    if LAYERS.value:
        tables.show(tables.LAYER_COLUMNS, [tables.layer_row(x) for x in summary.layers])
    else:
        tables.show(tables.STAGE_COLUMNS, [tables.stage_row(x) for x in summary.stages])
    print("\n" + "\n".join(tables.totals(summary, figures)))


def summarize_all(out: Path) -> None:
    """Every net in a table, and those with a published single-crop accuracy in the chart."""
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--out={out}: the chart is a .png, .svg or .pdf")
    rows, points = [], []
    for name, net in models.REGISTRY.items():
        summary = summarize(models.create(name), net.input_shape)
        figures = table().get(name)
        rows.append(tables.net_row(name, summary, figures))
        if figures and figures.crop_top1 is not None:
            size = (summary.multiply_adds, summary.inference_parameters)
            points.append(chart.Point(name, *size, figures.crop_top1, figures.crop_by))
    chart.draw(points, out)
    if JSON.value:
        print(json.dumps([dict(zip(tables.NET_COLUMNS, row, strict=True)) for row in rows]))
    else:
        tables.show(tables.NET_COLUMNS, rows)
        print(f"\nchart of {len(points)} nets: {out}")


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """["lrn=False", "width=0.5"] -> {"lrn": False, "width": 0.5}."""
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--option={pair}: write KEY=VALUE")
        try:
            options[key] = ast.literal_eval(value)
        except (SyntaxError, ValueError):
            options[key] = value
    return options


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    INPUT_SIZE = flags.DEFINE_integer("input_size", None, "pixels a side; default: the paper's")
    NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "logits; default: the paper's")
    OPTION = flags.DEFINE_multi_string("option", [], "KEY=VALUE, an option of the net; repeatable")
    LAYERS = flags.DEFINE_boolean("layers", False, "one row a layer instead of one a stage")
    JSON = flags.DEFINE_boolean("json", False, "print JSON")
    ALL = flags.DEFINE_boolean("all", False, "one row a net, and the chart")
    OUT = flags.DEFINE_string(
        "out", "nets.png", "with --all: where the chart goes (.png, .svg, .pdf)"
    )
    run(main, operands=1)
