"""Pictures of `benchmarks.speed`: ratios beside their goals, and growth in small multiples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.runtime.result_files import write_picture

COLOURS = {"cpu": "#4c72b0", "wall": "#dd8452"}
NAMES = {"cpu": "by CPU second", "wall": "by wall time"}
OF_DEVICES = ("#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#64b5cd")
AGAINST = {
    "loop": "the bare step",
    "xla": "XLA alone",
    "kernels": "all but the kernel",
    "kernels, inference": "all but the kernel",
}  # sections; others: PyTorch
TICKS = (0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8)
INK, GOAL = "#333333", "#c44e52"
FLATTEST = 8  # times the lower end of growth's scales, at least, is the upper
MEASURES = {  # of growth: title -> scale, and which figure is drawn by which clock
    "ms an image": (1e3, {"wall": "seconds", "cpu": "cpu_seconds"}),
    "peak memory, MB": (1e-6, {"wall": "peak_bytes"}),
    "compilation, s": (1.0, {"wall": "compile_seconds"}),
}


def draw_ratios(sections: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """A panel a section: how many times as fast as the other every case is on each device by each
    JAX, with the quartiles, and its goal; by CPU second where there are any.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    judged = {name: [row for row in rows if row["ratio"]] for name, rows in sections.items()}
    judged = {name: rows for name, rows in judged.items() if rows}
    if not judged:
        return
    places = dict.fromkeys(place_of(row) for rows in judged.values() for row in rows)
    colours = {name: OF_DEVICES[i % len(OF_DEVICES)] for i, name in enumerate(places)}
    heights = [inches_of(rows) for rows in judged.values()]
    figure, panels = plt.subplots(
        len(judged),
        1,
        figsize=(9, 1.2 + 0.7 * len(judged) + sum(heights)),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for (name, rows), axes in zip(judged.items(), panels[:, 0], strict=True):
        draw_section(axes, rows, colours)
        tidy(axes, f"{name}: speed against {AGAINST.get(name, 'PyTorch')}, {NAMES[clock_of(rows)]}")
    lines = [plt.Line2D([], [], color=c, marker="o", ms=4, lw=1) for c in colours.values()]
    goal = plt.Line2D([], [], color=GOAL, marker="|", ms=9, mew=2, lw=0)
    figure.legend(
        [*lines, goal], [*colours, "goal"], frameon=False, loc="outside upper right", ncols=2
    )
    write_picture(figure, out, dpi=150)
    plt.close(figure)


def draw_section(axes: Any, rows: list[dict[str, Any]], colours: dict[str, str]) -> None:
    labels, clock = list(dict.fromkeys(map(label_of, rows))), clock_of(rows)
    places = [name for name in colours if name in map(place_of, rows)]
    for row in rows:
        ratio, colour = row["ratio"][clock], colours[place_of(row)]
        place = labels.index(label_of(row))
        y = place + 0.7 / len(places) * (places.index(place_of(row)) - (len(places) - 1) / 2)
        axes.plot([ratio["low"], ratio["high"]], [y, y], color=colour, lw=1.4, zorder=3)
        axes.plot(ratio["median"], y, "o", ms=4, color=colour, zorder=4)
        if row["goal"]:
            axes.plot([row["goal"]] * 2, [place - 0.42, place + 0.42], color=GOAL, lw=2, zorder=2)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    reach = [ratio[end] for r in rows for ratio in [r["ratio"][clock]] for end in ("low", "high")]
    reach += [row["goal"] for row in rows if row["goal"]]
    axes.set_xscale("log", base=2)
    axes.set_xlim(min(0.7, 0.95 * min(reach)), max(1.5, 1.05 * max(reach)))
    axes.set_xticks([t for t in TICKS if axes.get_xlim()[0] <= t <= axes.get_xlim()[1]])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axvline(1, color="#999999", linewidth=1, zorder=1)


def inches_of(rows: list[dict[str, Any]]) -> float:
    """The height of a panel: a line for each case, the higher the more places there are."""
    lines, places = set(map(label_of, rows)), set(map(place_of, rows))
    return len(lines) * (0.2 + 0.06 * len(places))


def place_of(row: dict[str, Any]) -> str:
    """The device, and the release of JAX."""
    machine = row["machine"]
    return f"{machine['device']}, jax {'.'.join(machine['versions']['jax'].split('.')[:2])}"


def label_of(row: dict[str, Any]) -> str:
    return f"{row['case']['name']}, {row['case']['size']} px x {row['case']['batch']}"


def clock_of(rows: list[dict[str, Any]]) -> str:
    return "cpu" if all("cpu" in row["ratio"] for row in rows) else "wall"


def draw_growth(points_of: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """A column an axis; rows: time of an image, peak of memory, compilation. Both scales are
    logarithmic, and a panel says the power of the axis that fits its line.
    """
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
            of_clocks = {c: [scale * point[key] for point in points] for c, key in lines.items()}
            for clock, heights in of_clocks.items():
                axes.plot(values, heights, "o-", ms=3, color=COLOURS[clock], label=NAMES[clock])
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.set_ylim(*around([height for heights in of_clocks.values() for height in heights]))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
            power = exponent(values, list(of_clocks.values())[-1])
            tidy(axes, f"{title}: power {power:.2f}" if column == 0 else f"{power:.2f}")
        panels[-1, column].set_xlabel(name, color=INK)
    panels[0, 0].legend(frameon=False, fontsize=8)
    write_picture(figure, out, dpi=150)
    plt.close(figure)


def exponent(values: list[float], heights: list[float]) -> float:
    """The power of the values that grows like the heights: the slope of the logarithms."""
    return float(np.polyfit(np.log(values), np.log(heights), 1)[0]) if len(values) > 1 else 0.0


def around(heights: list[float]) -> tuple[float, float]:
    """Ends of a logarithmic scale, wide enough that what hardly grows looks flat."""
    low, high = min(heights), max(heights)
    room = max(1.1, math.sqrt(FLATTEST * low / high))
    return low / room, high * room


def tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(color="#e6e6e6", linewidth=0.7, zorder=0)
    axes.tick_params(length=0, colors=INK, labelsize=8)
    for edge in ("top", "right"):
        axes.spines[edge].set_visible(False)
