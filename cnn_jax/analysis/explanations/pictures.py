"""Explanations as pictures: maps over images, filters and patches in grids."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import printable
from cnn_jax.runtime.result_files import write_picture

SIDE = 1.75  # inches of an image
SHOWN_MAPS = 12  # of a stage


@dataclasses.dataclass(frozen=True)
class Panel:
    """An image uint8 [H, W, C], and over it a map [H, W]: warm where it is high, cold below 0."""

    image: np.ndarray
    title: str
    over: np.ndarray | None = None


@contextlib.contextmanager
def saved_figure(out: Path, size: tuple[float, float]) -> Iterator[Any]:
    """A figure that is written to `out` in the end; `UserError` where it cannot be."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    try:
        yield figure
        with warnings.catch_warnings():  # class names in scripts that the font lacks: boxes
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            write_picture(figure, out, dpi=110)
    finally:
        plt.close(figure)


def draw_panels(rows: Sequence[Sequence[Panel]], out: Path, notes: Sequence[str] = ()) -> None:
    """One row an image, and notes below."""
    columns = max(map(len, rows))
    height = (SIDE + 0.35) * len(rows) + 0.25 * len(notes) + 0.1
    with saved_figure(out, (max(4.5, SIDE * columns), height)) as figure:
        panels = figure.subplots(len(rows), columns, squeeze=False)
        for axes, row in zip(panels, rows, strict=True):
            for axis in axes:
                axis.axis("off")
            for axis, panel in zip(axes, row, strict=False):
                draw_panel(axis, panel)
        if notes:
            figure.supxlabel("\n".join(notes), fontsize=7, x=0.01, ha="left")


def draw_panel(axis: Any, panel: Panel) -> None:
    grey = panel.image.shape[-1] == 1
    style: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if grey else {}
    axis.imshow(panel.image.squeeze(-1) if grey else panel.image, **style)
    axis.set_title(printable(panel.title), fontsize=7)
    if panel.over is None:
        return
    limit = float(np.abs(panel.over).max()) or 1.0
    below = panel.over.min() < 0
    strength = np.abs(panel.over) / limit
    axis.imshow(
        panel.over,
        cmap="coolwarm" if below else "inferno",
        vmin=-limit if below else 0,
        vmax=limit,
        alpha=0.25 + 0.5 * strength,
    )


def draw_filters(kernels: np.ndarray, out: Path, title: str) -> None:
    """Kernels [h, w, channels, filters] in a grid; zero is grey, and the scale is one for all."""
    count = kernels.shape[-1]
    columns = int(np.ceil(np.sqrt(count * 1.6)))
    rows = -(-count // columns)
    limit = float(np.abs(kernels).max()) or 1.0
    with saved_figure(out, (0.62 * columns + 0.3, 0.62 * rows + 0.5)) as figure:
        panels = figure.subplots(rows, columns, squeeze=False)
        for number, axis in enumerate(panels.flat):
            axis.axis("off")
            if number < count:
                show_kernel(axis, kernels[..., number], limit)
        figure.suptitle(title, fontsize=8)


def show_kernel(axis: Any, kernel: np.ndarray, limit: float) -> None:
    """In colours where it reads three channels, else the mean of its channels in grey."""
    scaled = 0.5 + 0.5 * kernel / limit
    if kernel.shape[-1] == 3:
        axis.imshow(scaled)
    else:
        axis.imshow(scaled.mean(-1), cmap="gray", vmin=0, vmax=1)


def draw_maps(image: np.ndarray, maps: dict[str, np.ndarray], out: Path, title: str) -> None:
    """The image, then a row a stage of its strongest maps [h, w, c], each on its own scale."""
    with saved_figure(out, (0.9 * SHOWN_MAPS + 1.2, 0.95 * (len(maps) + 1) + 0.3)) as figure:
        panels = figure.subplots(len(maps) + 1, SHOWN_MAPS, squeeze=False)
        for axis in panels.flat:
            axis.axis("off")
        draw_panel(panels[0, 0], Panel(image, ""))
        for axes, (stage, values) in zip(panels[1:], maps.items(), strict=True):
            strongest = np.argsort(-np.abs(values).mean((0, 1)), kind="stable")[:SHOWN_MAPS]
            size = "x".join(map(str, values.shape))
            axes[0].set_title(f"{stage}  {size}", fontsize=7, loc="left")
            for axis, channel in zip(axes, strongest, strict=False):
                axis.imshow(values[..., channel], cmap="viridis")
        figure.suptitle(printable(title), fontsize=8)


def draw_patches(groups: dict[int, list[np.ndarray]], out: Path, title: str) -> None:
    """A row a channel: the patches that excite it most, the best first."""
    most = max(map(len, groups.values()))
    with saved_figure(out, (0.85 * most + 0.8, 0.85 * len(groups) + 0.5)) as figure:
        panels = figure.subplots(len(groups), most, squeeze=False)
        for axes, (channel, parts) in zip(panels, groups.items(), strict=True):
            for axis in axes:
                axis.set(xticks=[], yticks=[])
                axis.set_frame_on(False)
            for axis, part in zip(axes, parts, strict=False):
                draw_panel(axis, Panel(part, ""))
            axes[0].set_ylabel(f"map {channel}", fontsize=7)
        figure.suptitle(title, fontsize=8)
