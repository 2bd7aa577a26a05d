"""Pictures of `benchmarks.speed`: ratios beside their goals, and growth in small multiples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.speed.table import devices_of
from cnn_jax.runtime.result_files import write_picture

COLOURS = {"cpu": "#4c72b0", "wall": "#dd8452"}
NAMES = {"cpu": "by CPU second", "wall": "by wall time"}
AGAINST = {
    "loop": "the bare step",
    "xla": "XLA alone",
    "kernels": "all but the kernel",
    "kernels, inference": "all but the kernel",
}  # sections; others: PyTorch
INK = "#333333"
MEASURES = {  # of growth: title -> scale, and which figure is drawn by which clock
    "ms an image": (1e3, {"wall": "seconds", "cpu": "cpu_seconds"}),
    "peak memory, MB": (1e-6, {"wall": "peak_bytes"}),
    "compilation, s": (1.0, {"wall": "compile_seconds"}),
}


def draw_ratios(sections: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """A panel a section: how many times as fast as the other every case is, and its goal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    judged = {name: [row for row in rows if row["ratio"]] for name, rows in sections.items()}
    judged = {name: rows for name, rows in judged.items() if rows}
    if not judged:
        return
    heights = [len(rows) for rows in judged.values()]
    figure, panels = plt.subplots(
        len(judged),
        1,
        figsize=(9, 1.2 + 0.9 * len(judged) + 0.42 * sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for (name, rows), axes in zip(judged.items(), panels[:, 0], strict=True):
        clocks = list(rows[0]["ratio"])
        for place, row in enumerate(rows):
            for i, clock in enumerate(clocks):
                r, y = row["ratio"][clock], place + 0.36 * (i - (len(clocks) - 1) / 2)
                reach = [[r["median"] - r["low"]], [r["high"] - r["median"]]]
                label = NAMES[clock] if place == 0 else None
                axes.barh(y, r["median"], 0.34, color=COLOURS[clock], label=label, zorder=2)
                axes.errorbar(r["median"], y, xerr=reach, color=INK, linewidth=1, zorder=3)
            if row["goal"]:
                label = "goal" if place == 0 else None
                ends = ([row["goal"]] * 2, [place - 0.42, place + 0.42])
                axes.plot(*ends, color="#c44e52", linewidth=2, label=label, zorder=4)
        labels = [
            f"{r['case']['name']}, {r['case']['size']} px x {r['case']['batch']}{device}"
            for r, device in zip(rows, devices_of(rows), strict=True)
        ]
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.axvline(1, color="#999999", linewidth=1, zorder=1)
        tidy(axes, f"{name}: speed against {AGAINST.get(name, 'PyTorch')}")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper right", ncols=3)
    write_picture(figure, out, dpi=150)
    plt.close(figure)


def draw_growth(points_of: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """A column an axis; rows: time of an image, peak of memory, compilation."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns, rows = len(points_of), list(MEASURES.items())
    figure, panels = plt.subplots(
        len(rows), columns, figsize=(3 * columns, 2.4 * len(rows)), sharex="col", squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column, (name, points) in enumerate(points_of.items()):
        values = [point["value"] for point in points]
        for row, (title, (scale, lines)) in enumerate(rows):
            axes = panels[row, column]
            for clock, key in lines.items():
                heights = [scale * point[key] for point in points]
                axes.plot(values, heights, "o-", ms=3, color=COLOURS[clock], label=NAMES[clock])
            axes.set_ylim(0, 1.08 * max(scale * p[key] for p in points for key in lines.values()))
            if values[-1] >= 16 * values[0]:
                axes.set_xscale("log", base=2)
            tidy(axes, title if column == 0 else "")
        panels[-1, column].set_xlabel(name, color=INK)
    panels[0, 0].legend(frameon=False, fontsize=8)
    write_picture(figure, out, dpi=150)
    plt.close(figure)


def tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(color="#e6e6e6", linewidth=0.7, zorder=0)
    axes.tick_params(length=0, colors=INK, labelsize=8)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
