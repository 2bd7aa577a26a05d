"""Summaries as rows of text, totals beside the paper's figures, and JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from cnn_jax.analysis.published import WHOLE_VAL, Published
from cnn_jax.analysis.stages import Layer, Stage, Summary, Windows

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
OPTION_COLUMNS = ("option", "choices", "default")
RECIPE_COLUMNS = ("point", "key", "paper", "config", "is", "source")
LEFT = (
    "name",
    "stage",
    "layer",
    "net",
    "kernels",
    "protocol",
    "licence",
    *OPTION_COLUMNS,
    *RECIPE_COLUMNS,
)


def stage_row(stage: Stage) -> list[str]:
    return [
        stage.name,
        sides_text(stage.output),
        " ".join(map(sides_text, stage.kernels)) or " ".join(layer.kind for layer in stage.layers),
        pair_text(stage.stride),
        f"{stage.parameters:,}",
        f"{stage.multiply_adds:,}",
        *window_cells(stage.windows),
        bytes_text(stage.memory),
    ]


def layer_row(layer: Layer) -> list[str]:
    return [
        layer.path,
        sides_text(layer.output),
        sides_text(layer.kernel) if layer.kernel else layer.kind,
        pair_text(layer.stride),
        pair_text(layer.padding),
        str(layer.groups) if layer.groups > 1 else "",
        f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}",
        *window_cells(layer.windows),
        bytes_text(layer.memory),
    ]


def net_row(name: str, summary: Summary, figures: Published | None) -> list[str]:
    top1, top5, protocol = None, None, ""
    if figures and figures.crop_top1 is not None:
        top1, top5 = figures.crop_top1, figures.crop_top5
        of = f"of {figures.crop_net}" if figures.crop_net else ""
        which = figures.population if figures.population != WHOLE_VAL else ""
        protocol = "; ".join(
            filter(None, [f"{figures.crop_by}, {figures.crop_protocol}", of, which])
        )
    elif figures and figures.paper_top1 is not None:
        top1, top5 = figures.paper_top1, figures.paper_top5
        protocol = f"{figures.paper_protocol}; {figures.population}"
    return [
        name,
        sides_text(summary.input_shape),
        f"{summary.parameters:,}",
        dense_share(summary),
        f"{summary.multiply_adds:,}",
        window_cells(summary.windows)[0],
        bytes_text(summary.memory),
        *(f"{value:.2f}" if value is not None else "" for value in (top1, top5)),
        protocol,
    ]


def totals(summary: Summary, figures: Published | None) -> list[str]:
    """Sums, each beside the paper's figure where it prints one, and the published accuracies."""
    dense = f"{summary.dense_parameters:,} ({dense_share(summary)})"
    lines = {
        "parameters": f"{summary.parameters:,}",
        "of them in fully connected layers": dense,
        "BatchNorm statistics": f"{summary.statistics:,}",
        "multiply-adds": f"{summary.multiply_adds:,}",
        "receptive field": "the whole image",
        "activation memory": f"{bytes_text(summary.memory)} an image, float32",
    }
    if summary.windows:
        field, jump, padding = window_cells(summary.windows)
        lines["receptive field"] = f"{field} pixels, jump {jump}, padding {padding}"
    if heads := summary.auxiliary_parameters:
        lines["parameters"] += f", {heads:,} of them in heads that only training uses"
    if figures and figures.paper_parameters:
        lines["parameters"] += f"   paper: {figures.paper_parameters}"
    if figures and figures.paper_multiply_adds:
        lines["multiply-adds"] += f"   paper: {figures.paper_multiply_adds}"
    if figures and figures.receptive_field:
        lines["receptive field"] += f"   Araujo 2019: {figures.receptive_field}"
    rows = list(lines.items()) + [("accuracy", text) for text in accuracies(figures)]
    width = max(len(key) for key, _ in rows)
    return [f"{key:{width}}  {text}" for key, text in rows]


def accuracies(figures: Published | None) -> list[str]:
    """The paper's own, then the single-crop one where it is another."""

    def percent(top1: float | None, top5: float | None) -> str:
        parts = [("top-1", top1), ("top-5", top5)]
        return ", ".join(f"{kind} {value:.2f} %" for kind, value in parts if value is not None)

    out = []
    if figures and figures.paper_protocol:
        score = percent(figures.paper_top1, figures.paper_top5)
        what = f"; of {figures.paper_net}" if figures.paper_net else ""
        where = f"{figures.paper_protocol}, {figures.population}{what}"
        out.append(f"{score} ({figures.paper}; {where})")
    if figures and figures.crop_top1 not in (None, figures.paper_top1):
        score = percent(figures.crop_top1, figures.crop_top5)
        what = f"; of {figures.crop_net}" if figures.crop_net else ""
        where = f"{figures.crop_protocol}, {figures.population}{what}"
        out.append(f"{score} ({figures.crop_by}; {where})")
    return out


def dense_share(summary: Summary) -> str:
    """Of the parameters that evaluation uses, those in fully connected layers."""
    return f"{summary.dense_parameters / summary.inference_parameters:.1%}"


def window_cells(windows: Windows | None) -> tuple[str, str, str]:
    """Receptive field, jump and padding; "all" where a position sees the whole image."""
    if windows is None:
        return "all", "", ""
    rows, columns = windows
    return (
        pair_text((rows.size, columns.size)),
        pair_text((rows.jump, columns.jump)),
        pair_text((rows.padding, columns.padding)),
    )


def sides_text(sides: Sequence[int] | None) -> str:
    return "x".join(map(str, sides)) if sides else ""


def pair_text(sides: tuple[int, int] | None) -> str:
    """One number where rows and columns agree."""
    if sides is None:
        return ""
    return str(sides[0]) if sides[0] == sides[1] else sides_text(sides)


def bytes_text(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: drawn on a terminal, aligned text elsewhere."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            drawn.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
        for row in rows:
            drawn.add_row(*row)
        console = Console()
        room = console.measure(drawn, options=console.options.update(max_width=1000)).maximum
        console.width = max(console.width, room)  # a narrow terminal wraps, no figure is cut
        console.print(drawn)
    else:
        print("\n".join(aligned(columns, rows)))


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [columns, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    out = []
    for line in lines:
        cells = [
            cell.ljust(width) if column in LEFT else cell.rjust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        out.append("  ".join(cells).rstrip())
    return out


def summary_record(summary: Summary, figures: Published | None) -> dict[str, Any]:
    """All that the tables show, in numbers; pairs are of rows and columns."""

    def windows_record(windows: Windows | None) -> dict[str, list[int]] | None:
        if windows is None:
            return None
        return {
            "receptive_field": [window.size for window in windows],
            "jump": [window.jump for window in windows],
            "padding": [window.padding for window in windows],
        }

    def entry(part: Layer | Stage, *fields: str) -> dict[str, Any]:
        return {
            **{field: getattr(part, field) for field in fields},
            "parameters": part.parameters,
            "multiply_adds": part.multiply_adds,
            "activation_memory": part.memory,
            "sees": windows_record(part.windows),
        }

    layer_fields = ("path", "kind", "output", "kernel", "stride", "padding", "groups")
    return {
        "input_shape": summary.input_shape,
        "parameters": summary.parameters,
        "auxiliary_parameters": summary.auxiliary_parameters,
        "dense_parameters": summary.dense_parameters,
        "batch_statistics": summary.statistics,
        "multiply_adds": summary.multiply_adds,
        "activation_memory": summary.memory,
        "sees": windows_record(summary.windows),
        "published": dataclasses.asdict(figures) if figures else None,
        "stages": [
            {
                **entry(stage, "name", "output", "kernels", "stride"),
                "layers": [entry(layer, *layer_fields) for layer in stage.layers],
            }
            for stage in summary.stages
        ],
    }
