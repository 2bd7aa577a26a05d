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

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import models
from cnn_jax.analysis import chart
from cnn_jax.analysis.published import Published, table
from cnn_jax.analysis.stages import Layer, Stage, Summary, Windows, summarize
from cnn_jax.cli import run
from cnn_jax.errors import UserError

INPUT_SIZE = flags.DEFINE_integer("input_size", None, "pixels a side; default: the paper's")
NUM_CLASSES = flags.DEFINE_integer("num_classes", None, "logits; default: the paper's")
OPTION = flags.DEFINE_multi_string("option", [], "KEY=VALUE, an option of the net; repeatable")
LAYERS = flags.DEFINE_boolean("layers", False, "one row a layer instead of one a stage")
JSON = flags.DEFINE_boolean("json", False, "print JSON")
ALL = flags.DEFINE_boolean("all", False, "one row a net, and the chart")
OUT = flags.DEFINE_string("out", "nets.png", "with --all: where the chart goes (.png, .svg, .pdf)")

STAGE_COLUMNS = (
    "stage", "output", "kernels", "stride", "parameters", "multiply-adds",
    "field", "jump", "padding", "memory",
)  # fmt: skip
LAYER_COLUMNS = (
    "layer", "output", "kernel", "stride", "pad", "groups", "parameters", "multiply-adds",
    "field", "jump", "padding", "memory",
)  # fmt: skip
NET_COLUMNS = (
    "net", "input", "parameters", "dense", "multiply-adds", "field", "memory",
    "top-1", "top-5", "protocol",
)  # fmt: skip


def main(argv: Sequence[str]) -> None:
    if ALL.value:
        if len(argv) > 1 or OPTION.value or INPUT_SIZE.value or NUM_CLASSES.value:
            raise UserError("--all takes no name, options, size or classes: every net as it stands")
        summarize_all()
        return
    if len(argv) < 2:
        raise UserError(f"name a net, or --all; the nets: {', '.join(models.names())}")
    name = argv[1]
    module = models.create(name, NUM_CLASSES.value, **parse_options(OPTION.value))
    height, width, channels = models.REGISTRY[name].input_shape
    if INPUT_SIZE.value is not None:
        if INPUT_SIZE.value < 1:
            raise UserError(f"--input_size={INPUT_SIZE.value}: at least 1")
        height = width = INPUT_SIZE.value
    summary = summarize(module, (height, width, channels))
    if JSON.value:
        print(json.dumps(as_json(name, summary), indent=1))
        return
    print(f"{name}, {height}x{width}x{channels}{described(OPTION.value)}\n")
    if LAYERS.value:
        show(LAYER_COLUMNS, [layer_row(layer) for layer in summary.layers])
    else:
        show(STAGE_COLUMNS, [stage_row(stage) for stage in summary.stages])
    print()
    print("\n".join(totals(summary, table().get(name), not OPTION.value)))


def summarize_all() -> None:
    """Every net in a table, and those with a published single-crop accuracy in the chart."""
    rows, points = [], []
    published = table()
    for name, net in models.REGISTRY.items():
        summary = summarize(models.create(name), net.input_shape)
        figures = published.get(name)
        rows.append(net_row(name, summary, figures))
        if figures and figures.crop_top1 is not None:
            size = (summary.multiply_adds, summary.inference_parameters)
            points.append(chart.Point(name, *size, figures.crop_top1, figures.crop_by))
    out = Path(OUT.value)
    if out.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--out={out}: the chart is a .png, .svg or .pdf")
    chart.draw(points, out)
    if JSON.value:
        print(json.dumps([dict(zip(NET_COLUMNS, row, strict=True)) for row in rows], indent=1))
    else:
        show(NET_COLUMNS, rows)
        print(f"\nchart of {len(points)} nets: {out}")


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """["lrn=False", "width=0.5"] -> {"lrn": False, "width": 0.5}."""
    import ast

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


def described(pairs: Sequence[str]) -> str:
    return f", {', '.join(pairs)}" if pairs else ""


def stage_row(stage: Stage) -> list[str]:
    return [
        stage.name,
        by(stage.output),
        " ".join(map(by, stage.kernels)) or " ".join(layer.kind for layer in stage.layers),
        pair(stage.stride),
        f"{stage.parameters:,}",
        f"{stage.multiply_adds:,}",
        *seen(stage.windows),
        megabytes(stage.memory),
    ]


def layer_row(layer: Layer) -> list[str]:
    return [
        layer.path,
        by(layer.output),
        by(layer.kernel) if layer.kernel else layer.kind,
        pair(layer.stride),
        pair(layer.padding),
        str(layer.groups) if layer.groups > 1 else "",
        f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}",
        *seen(layer.windows),
        megabytes(layer.memory),
    ]


def net_row(name: str, summary: Summary, figures: Published | None) -> list[str]:
    field = summary.windows and pair((summary.windows[0].size, summary.windows[1].size))
    top1, top5, protocol = None, None, ""
    if figures and figures.crop_top1 is not None:
        top1, top5 = figures.crop_top1, figures.crop_top5
        protocol = f"{figures.crop_by}, {figures.crop_protocol}"
    elif figures and figures.paper_top1 is not None:
        top1, top5, protocol = figures.paper_top1, figures.paper_top5, figures.paper_protocol
    return [
        name,
        by(summary.input_shape),
        f"{summary.parameters:,}",
        f"{summary.dense_parameters / summary.inference_parameters:.1%}",
        f"{summary.multiply_adds:,}",
        field or "all",
        megabytes(summary.memory),
        *(f"{value:.1f}" if value is not None else "" for value in (top1, top5)),
        protocol,
    ]


def totals(summary: Summary, figures: Published | None, as_published: bool) -> list[str]:
    """Sums, and the paper's figures beside them where the net is as it has it."""
    paper = {"parameters": "", "multiply-adds": "", "receptive field": ""}
    if figures and as_published:
        paper["parameters"] = figures.paper_parameters
        paper["multiply-adds"] = figures.paper_multiply_adds
        if figures.receptive_field:
            paper["receptive field"] = f"{figures.receptive_field} (Araujo 2019)"
    dense = summary.dense_parameters
    lines = {
        "parameters": f"{summary.parameters:,}",
        "of them in fully connected layers": f"{dense:,} ({dense / summary.inference_parameters:.1%})",
        "BatchNorm statistics": f"{summary.statistics:,}",
        "multiply-adds": f"{summary.multiply_adds:,}",
        "receptive field": field_of(summary.windows),
        "activation memory": f"{megabytes(summary.memory)} an image, float32",
    }
    if heads := summary.auxiliary_parameters:
        lines["parameters"] += f", {heads:,} of them in heads that only training uses"
    width = max(map(len, lines))
    out = []
    for key, value in lines.items():
        beside = f"   paper: {paper[key]}" if paper.get(key) else ""
        out.append(f"{key:{width}}  {value}{beside}")
    if figures and as_published:
        out += [f"{'accuracy':{width}}  {text}" for text in accuracies(figures)]
    return out


def accuracies(figures: Published) -> list[str]:
    def percent(top1: float | None, top5: float | None) -> str:
        parts = [(top1, "top-1"), (top5, "top-5")]
        return ", ".join(f"{kind} {value:.2f} %" for value, kind in parts if value is not None)

    out = []
    if figures.paper_protocol:
        score = percent(figures.paper_top1, figures.paper_top5)
        out.append(f"{score} ({figures.paper}; {figures.paper_protocol})")
    if figures.crop_top1 is not None and figures.crop_top1 != figures.paper_top1:
        score = percent(figures.crop_top1, figures.crop_top5)
        out.append(f"{score} ({figures.crop_by}; ILSVRC-2012 validation, {figures.crop_protocol})")
    return out


def field_of(windows: Windows | None) -> str:
    if windows is None:
        return "the whole image"
    field, jump, padding = seen(windows)
    return f"{field} pixels, jump {jump}, padding {padding}"


def seen(windows: Windows | None) -> tuple[str, str, str]:
    """Receptive field, jump and padding; "all" where a position sees the whole image."""
    if windows is None:
        return "all", "", ""
    rows, columns = windows
    return (
        pair((rows.size, columns.size)),
        pair((rows.jump, columns.jump)),
        pair((rows.padding, columns.padding)),
    )


def by(sides: Sequence[int] | None) -> str:
    return "x".join(map(str, sides)) if sides else ""


def pair(sides: tuple[int, int] | None) -> str:
    """One number where rows and columns agree."""
    if sides is None:
        return ""
    return str(sides[0]) if sides[0] == sides[1] else by(sides)


def megabytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def show(columns: Sequence[str], rows: list[list[str]]) -> None:
    """A table: drawn on a terminal, aligned text elsewhere."""
    left = ("stage", "layer", "net", "kernels", "protocol")
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            drawn.add_column(column, justify="left" if column in left else "right", no_wrap=True)
        for row in rows:
            drawn.add_row(*row)
        Console().print(drawn)
        return
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        print("  ".join(cells).rstrip())


def as_json(name: str, summary: Summary) -> dict[str, Any]:
    """All that the tables show, and the paper's figures, in numbers."""
    import dataclasses

    def see(windows: Windows | None) -> dict[str, list[int]] | None:
        if windows is None:
            return None
        return {
            "receptive_field": [w.size for w in windows],
            "jump": [w.jump for w in windows],
            "padding": [w.padding for w in windows],
        }

    def layer_entry(layer: Layer) -> dict[str, Any]:
        entry = dataclasses.asdict(layer)
        del entry["windows"]
        return {**entry, "sees": see(layer.windows), "memory": layer.memory}

    figures = table().get(name)
    return {
        "name": name,
        "input_shape": summary.input_shape,
        "options": dict(pair.partition("=")[::2] for pair in OPTION.value),
        "parameters": summary.parameters,
        "auxiliary_parameters": summary.auxiliary_parameters,
        "dense_parameters": summary.dense_parameters,
        "batch_statistics": summary.statistics,
        "multiply_adds": summary.multiply_adds,
        "activation_memory": summary.memory,
        "sees": see(summary.windows),
        "published": dataclasses.asdict(figures) if figures else None,
        "stages": [
            {
                "name": stage.name,
                "output": stage.output,
                "kernels": stage.kernels,
                "stride": stage.stride,
                "parameters": stage.parameters,
                "multiply_adds": stage.multiply_adds,
                "sees": see(stage.windows),
                "memory": stage.memory,
                "layers": [layer_entry(layer) for layer in stage.layers],
            }
            for stage in summary.stages
        ],
    }


if __name__ == "__main__":
    run(main, operands=1)
