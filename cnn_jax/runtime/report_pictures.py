"""The pictures of a run: curves, confusion matrix, and the images with the largest losses."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.json_shape import fits
from cnn_jax.runtime.regular_files import read_regular
from cnn_jax.runtime.result_files import write_picture

LARGEST_LOG = 1 << 30  # bytes: of millions of rows
COUNTED_CLASSES = 40  # up to so many the cells of a confusion matrix hold their counts
NAMED_CLASSES = 130  # up to so many its rows and columns have their names
OUTLIER_SPANS = 4.0  # how far an outlier lies off, in ranges of all other values


def plain_pyplot() -> Any:
    """matplotlib.pyplot without a display."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save_picture(figure: Any, out: Path, dpi: int = 120) -> None:
    """Writes a figure and closes it; raises `UserError` where it cannot be written."""
    try:
        with warnings.catch_warnings():  # class names in scripts that the font lacks: boxes
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            write_picture(figure, out, dpi)
    finally:
        plain_pyplot().close(figure)


def is_row(row: Any) -> bool:
    """Whether a line of metrics.jsonl is one: figures, null where there is none, by name."""
    if not fits(row, {"step": float, "epoch": float}):
        return False
    figures = {k: v for k, v in row.items() if "/" in k or k in ("learning_rate", "gradient_norm")}
    return fits(figures, {f"{name}?": float for name in figures})


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; one that is no longer whole is left out with a warning.

    A row is written by itself, so that those about it are whole. Raises `UserError`.
    """
    try:
        lines = read_regular(path, LARGEST_LOG).decode(errors="replace").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    rows, bad = [], []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        whole = is_row(row)
        (rows if whole else bad).append(row if whole else number)
    if bad:
        print(f"warning: {path} has {len(bad)} damaged rows, line {bad[0]} first", file=sys.stderr)
    return rows


def draw_curves(rows_file: Path, out: Path, title: str = "", best_step: int | None = None) -> None:
    """Training and watched figures and the learning rate by epoch, from metrics.jsonl.

    The evaluation at `best_step` is marked.
    """
    rows = [row for row in read_rows(rows_file) if any(k.startswith("train/") for k in row)]
    if not rows:
        return
    plt = plain_pyplot()
    parts = list(dict.fromkeys(key.split("/")[0] for key in rows[0] if "/" in key))
    names = [key.split("/")[1] for key in rows[0] if key.startswith(f"{parts[-1]}/")]
    names = [name for name in names if f"train/{name}" in rows[0]]
    has_rate = "learning_rate" in rows[0]
    columns = len(names) + has_rate
    figure, panels = plt.subplots(
        1, columns, figsize=(4.2 * columns, 3.4), squeeze=False, layout="constrained"
    )
    epochs = [row["epoch"] for row in rows]
    best = next((row for row in rows if row["step"] == best_step), None)
    for panel, name in zip(panels[0], names, strict=False):
        curves = {part: [row.get(f"{part}/{name}", math.nan) for row in rows] for part in parts}
        for part, style in zip(parts, ("-", "o-"), strict=False):
            panel.plot(epochs, curves[part], style, ms=3, label=part)
        show_range(panel, epochs, list(curves.values()))
        if best is not None:
            value = best[f"{parts[-1]}/{name}"]
            panel.axvline(best["epoch"], color="0.6", lw=0.8, zorder=0)
            label = f"best checkpoint: {value:.4f}"
            panel.plot([best["epoch"]], [value], "*", ms=11, color="C3", label=label, zorder=5)
        panel.set(xlabel="epoch", title=name.replace("_", " "))
        panel.legend(frameon=False, fontsize=8)
    if has_rate:
        panel = panels[0, -1]
        rates = [row["learning_rate"] for row in rows]
        panel.plot(epochs, rates, ".-", ms=4, color="C2")
        if min(rates) > 0 and max(rates) > 5 * min(rates):
            panel.set_yscale("log")
        else:
            panel.set_ylim(0, 1.1 * max(max(rates), 1e-12))
        panel.set(xlabel="epoch", title="learning rate")
    for panel in panels[0]:
        panel.xaxis.get_major_locator().set_params(integer=epochs[-1] > 3)
        panel.grid(alpha=0.3)
    if title:
        figure.suptitle(printable(title), fontsize=10)
    save_picture(figure, out)


def robust_limits(values: Sequence[float]) -> tuple[float, float]:
    """The range of the values without the few that lie far off: one in twenty at either end."""
    ordered = sorted(value for value in values if math.isfinite(value))
    if not ordered:
        return 0.0, 1.0
    low, high = ordered[0], ordered[-1]
    cut = -(-len(ordered) // 20)
    inner = ordered[cut:-cut]
    if len(inner) < 6:
        return low, high
    span = OUTLIER_SPANS * (inner[-1] - inner[0])
    if not span:
        return low, high
    return (
        low if inner[0] - low <= span else inner[0],
        high if high - inner[-1] <= span else inner[-1],
    )


def show_range(panel: Any, epochs: Sequence[float], curves: Sequence[Sequence[float]]) -> None:
    """Sets the axis to `robust_limits`; what lies outside is a triangle at the edge.

    The farthest of a curve has its value beside it. `curves` are in the order in which they were
    drawn.
    """
    low, high = robust_limits([value for curve in curves for value in curve])
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    panel.set_ylim(low - margin, high + margin)
    for number, curve in enumerate(curves):
        points = [pair for pair in zip(epochs, curve, strict=True) if math.isfinite(pair[1])]
        above = [pair for pair in points if pair[1] > high]
        below = [pair for pair in points if pair[1] < low]
        for outside, edge, mark in ((above, high + margin, "^"), (below, low - margin, "v")):
            for epoch, _ in outside:
                panel.plot([epoch], [edge], mark, ms=6, color=f"C{number}", clip_on=False)
            if outside:
                epoch, value = (max if mark == "^" else min)(outside, key=lambda pair: pair[1])
                place = "top" if mark == "^" else "bottom"
                panel.annotate(f"  {value:.3g}", (epoch, edge), fontsize=7, va=place)


def draw_confusion(report: dict[str, Any], out: Path) -> None:
    """The confusion matrix: a row a true class, coloured by the share of it, with counts."""
    plt = plain_pyplot()
    from matplotlib.colors import PowerNorm

    matrix = np.array(report["confusion_matrix"])
    names = [printable(name) for name in report["classes"]]
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in names]
    count = len(names)
    cell = min(0.5, max(0.17, 8 / count)) if count <= NAMED_CLASSES else 12 / count
    side = max(3.0, cell * count)
    room = 0.075 * max(map(len, names)) + 0.6 if count <= NAMED_CLASSES else 0.6
    size = (side + room + 1.0, side + room + 0.5)
    figure, panel = plt.subplots(figsize=size, layout="constrained")
    shares = matrix / matrix.sum(1, keepdims=True).clip(1)
    norm = PowerNorm(0.5, 0, 1)  # a single mistake is to be seen
    image = panel.imshow(shares, cmap="Blues", norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=panel, fraction=0.03, pad=0.02)
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if count <= NAMED_CLASSES:
        font = 8 if count <= COUNTED_CLASSES else 6.5
        panel.set_xticks(range(count), names, rotation=90, fontsize=font)
        panel.set_yticks(range(count), names, fontsize=font)
    font = 8 if cell > 0.35 else (6.5 if cell > 0.25 else 4.5)
    for i, j in np.argwhere(matrix) if count <= NAMED_CLASSES else ():
        colour = "white" if shares[i, j] > 0.3 else "black"
        panel.text(j, i, matrix[i, j], ha="center", va="center", fontsize=font, color=colour)
    panel.set_xlabel("predicted", fontsize=9)
    panel.set_ylabel("true", fontsize=9)
    panel.set_title(title_of(report), fontsize=9)
    save_picture(figure, out)


def title_of(report: dict[str, Any]) -> str:
    """ "digits, test: 342 of 359 right (0.9526), single_crop"."""
    right = round(report["accuracy"] * report["examples"])
    text = f"{report['split']}: {right:,} of {report['examples']:,} right"
    text += f" ({report['accuracy']:.2%}), {report['protocol']}"
    return printable(f"{report['dataset']}, {text}" if "dataset" in report else text)


def draw_top_losses(report: dict[str, Any], images: Sequence[Any], out: Path) -> None:
    """The `images`, uint8 [H, W, C], of the report's largest losses, in its order."""
    plt = plain_pyplot()
    columns = min(4, len(images))
    lines = -(-len(images) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(2.3 * columns, 2.75 * lines + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for panel in panels.flat:
        panel.axis("off")
    for panel, row, image in zip(panels.flat, report["top_losses"], images, strict=False):
        show_image(panel, image)
        panel.axis("on")
        lines_of_text = [
            f"{row['label']}, loss {row['loss']:.2f}",
            f"predicted: {row['predicted']}",
            shortened(str(row["image"])),
        ]
        panel.set_title("\n".join(map(printable, lines_of_text)), fontsize=7)
    figure.suptitle(printable(f"largest losses of {report['split']}"), fontsize=9)
    save_picture(figure, out)


def shortened(path: str, length: int = 36) -> str:
    """A long path by its end."""
    return path if len(path) <= length else f"…{path[1 - length :]}"


def show_image(panel: Any, image: Any) -> None:
    """One image, uint8 [H, W, C], pixel by pixel."""
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[-1] == 1 else {}
    panel.imshow(image[..., 0] if grey else image, interpolation="nearest", **grey)
    panel.set(xticks=[], yticks=[])
