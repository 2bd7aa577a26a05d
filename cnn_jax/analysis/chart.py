"""The accuracy-operations-parameters chart: every net with a published single-crop accuracy.

After Canziani, Paszke, Culurciello, "An analysis of deep neural network models for practical
applications", 2016, fig. 2: top-1 against multiply-adds, a circle's area the parameters.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

# Name's beginning -> family; the first that fits.
FAMILIES = {
    "alexnet": "AlexNet",
    "vgg": "VGG",
    "googlenet": "Inception",
    "bn_inception": "Inception",
    "inception": "Inception",
    "seresnet": "ResNet and kin",
    "resnext": "ResNet and kin",
    "wide": "ResNet and kin",
    "resnet": "ResNet and kin",
    "mobilenet": "MobileNet",
    "efficientnet": "EfficientNet",
    "convnext": "ConvNeXt",
}
COLOURS = {
    "AlexNet": "#7f7f7f",
    "VGG": "#c44e52",
    "Inception": "#8172b3",
    "ResNet and kin": "#4c72b0",
    "MobileNet": "#55a868",
    "EfficientNet": "#dd8452",
    "ConvNeXt": "#17a2b8",
}
POINTS_PER_MILLION = 9.0  # the square of a circle's diameter in points
INK = "#333333"
FAR = 12  # points from a circle from which a line leads to its name


class Point(NamedTuple):
    """One net: multiply-adds, parameters, top-1 in percent, and who trained it."""

    name: str
    multiply_adds: int
    parameters: int
    top1: float
    by: str

    @property
    def colour(self) -> str:
        return next(COLOURS[f] for start, f in FAMILIES.items() if self.name.startswith(start))

    @property
    def area(self) -> float:
        return POINTS_PER_MILLION * self.parameters / 1e6


def draw(points: list[Point], out: Path) -> None:
    """Writes the chart; its format is by the ending of `out`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgba
    from matplotlib.ticker import FuncFormatter

    points = sorted(points, key=lambda p: -p.parameters)  # small circles over large ones
    with plt.rc_context(
        {"font.family": "DejaVu Sans", "font.size": 9, "axes.edgecolor": "#999999"}
    ):
        figure, axes = plt.subplots(figsize=(12.5, 8), dpi=150)
        figure.subplots_adjust(left=0.06, right=0.985, top=0.885, bottom=0.105)
        for point in points:
            published = point.by == "authors"
            axes.scatter(
                point.multiply_adds,
                point.top1,
                s=point.area,
                facecolor=to_rgba(point.colour, 0.55) if published else (1, 1, 1, 0.45),
                edgecolor=point.colour,
                linewidth=1.1,
                zorder=2,
            )
            axes.scatter(point.multiply_adds, point.top1, s=5, color=point.colour, zorder=3)
        axes.set_xscale("log")
        axes.set_xlim(2.8e7, 7e10)
        axes.set_yscale("function", functions=(by_error, accuracy))
        axes.set_ylim(48.5, 85.5)
        axes.set_yticks([50, 55, 60, 65, 70, 72, 74, 76, 78, 80, 82, 84])
        axes.xaxis.set_major_formatter(FuncFormatter(operations))
        axes.grid(color="#e6e6e6", linewidth=0.7, zorder=0)
        axes.tick_params(length=0, colors=INK)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.set_xlabel("multiply-adds for one image (convolutions and dense layers)", color=INK)
        axes.set_ylabel("top-1 accuracy, %  (spaced by the logarithm of the error)", color=INK)
        figure.text(
            0.06,
            0.945,
            "Accuracy, operations and parameters",
            fontsize=16,
            color=INK,
            weight="bold",
        )
        figure.text(
            0.06,
            0.912,
            "ILSVRC-2012 validation, a single centre crop of the net's own input size. Filled: the "
            "authors' figure; open: Caffe's or torchvision's weights.",
            color=INK,
        )
        legends(axes)
        place_labels(axes, points)
        figure.savefig(out)
        plt.close(figure)


def by_error(top1: Any) -> Any:
    """Accuracy -> minus the logarithm of the error: equal steps are equal shares of errors gone."""
    import numpy as np

    return -np.log(np.maximum(100.0 - np.asarray(top1), 1e-3))


def accuracy(position: Any) -> Any:
    """The inverse of `by_error`."""
    import numpy as np

    return 100.0 - np.exp(-np.asarray(position))


def operations(value: float, _: Any = None) -> str:
    """3e9 -> "3 G"."""
    return f"{value / 1e9:g} G" if value >= 1e9 else f"{value / 1e6:g} M"


def legends(axes: Any) -> None:
    """Families by colour, parameters by area."""
    from matplotlib.lines import Line2D

    def circle(area: float, colour: str, label: str) -> Line2D:
        size = math.sqrt(area)
        return Line2D(
            [], [], marker="o", ls="", ms=size, mfc=colour, mec=colour, alpha=0.6, label=label
        )

    families = [circle(60, colour, family) for family, colour in COLOURS.items()]
    style = {"frameon": False, "labelcolor": INK, "alignment": "left", "title_fontsize": 9}
    first = axes.legend(
        handles=families, title="family", loc="lower right", bbox_to_anchor=(1, 0.01), **style
    )
    axes.add_artist(first)
    sizes = [
        circle(POINTS_PER_MILLION * millions, "#bbbbbb", f"{millions} M")
        for millions in (5, 25, 60, 140)
    ]
    axes.legend(
        handles=sizes,
        title="parameters",
        loc="lower right",
        bbox_to_anchor=(0.87, 0.0),
        labelspacing=2.3,
        handletextpad=1.4,
        borderpad=1.2,
        **style,
    )


def place_labels(axes: Any, points: list[Point]) -> None:
    """Each name beside its circle, clear of other names and, where it can, of other circles.

    Every label tries places on rings around its point, nearest first, and takes the cheapest: an
    overlap with a name placed before costs most, then one with a circle's centre or area, then
    distance. A thin line leads to a name that had to go far.
    """
    figure = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    centres = axes.transData.transform([(p.multiply_adds, p.top1) for p in points])
    radii = [math.sqrt(p.area) / 2 * scale for p in points]
    frame = axes.get_window_extent(renderer)
    placed: list[tuple[float, float, float, float]] = []
    taken = [
        tuple(legend.get_window_extent(renderer).extents)
        for legend in axes.get_children()
        if type(legend).__name__ == "Legend"
    ]
    order = sorted(range(len(points)), key=lambda i: radii[i])  # small circles have least choice
    for i in order:
        text = axes.text(
            1e9, 70, points[i].name, fontsize=7.5, color=darker(points[i].colour), zorder=5
        )
        extent = text.get_window_extent(renderer)
        width, height = extent.width + 3 * scale, extent.height
        best = None
        for distance in (3, 5, 8, 12, 17, 23, 30, 40, 52, 66):
            if best is not None and best[0] <= distance:
                break  # no place farther out costs less
            for angle in range(0, 360, 15):
                box = place(centres[i], radii[i] + distance * scale, angle, width, height)
                cost = distance + 0.02 * abs((angle + 180) % 360 - 180)
                cost += 1000 * sum(overlap(box, other) > 0 for other in placed + taken)
                cost += 1000 * outside(box, frame)
                cost += 60 * any(inside(p, b) for p in path(centres[i], box) for b in placed)
                cost += sum(
                    60 * inside(centre, box) + 80 * covers(centre, radius + 2 * scale, box)
                    for centre, radius in zip(centres, radii, strict=True)
                )
                if best is None or cost < best[0]:
                    best = (cost, distance, box)
        _, distance, box = best
        placed.append(box)
        if distance > FAR:
            taken += [(x - 1, y - 1, x + 1, y + 1) for x, y in path(centres[i], box)]
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        text.set_position(axes.transData.inverted().transform(middle))
        text.set_ha("center")
        text.set_va("center")
        if distance > FAR:
            lead(axes, centres[i], box, points[i].colour)


Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels


def place(centre: Any, distance: float, angle: float, width: float, height: float) -> Box:
    """The box whose nearest side is `distance` from `centre` in the direction of `angle`."""
    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x = centre[0] + distance * dx + width / 2 * dx
    y = centre[1] + distance * dy + height / 2 * dy
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def overlap(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height)


def outside(box: Box, frame: Any) -> bool:
    return box[0] < frame.x0 or box[1] < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1


def inside(point: Any, box: Box) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def covers(centre: Any, radius: float, box: Box) -> float:
    """How much of a box lies under a circle, roughly: 0 to 1."""
    x, y = nearest_side(centre, box)
    return max(0.0, 1 - math.hypot(x - centre[0], y - centre[1]) / radius)


def darker(colour: str) -> tuple[float, float, float]:
    """A family's colour for small text."""
    from matplotlib.colors import to_rgb

    return tuple(0.62 * part for part in to_rgb(colour))


def nearest_side(centre: Any, box: Box) -> tuple[float, float]:
    """The point of a box that is nearest to `centre`."""
    return min(max(centre[0], box[0]), box[2]), min(max(centre[1], box[1]), box[3])


def path(centre: Any, box: Box) -> list[tuple[float, float]]:
    """Points on the line from `centre` to a box."""
    x, y = nearest_side(centre, box)
    return [
        (centre[0] + t / 12 * (x - centre[0]), centre[1] + t / 12 * (y - centre[1]))
        for t in range(12)
    ]


def lead(axes: Any, centre: Any, box: Box, colour: str) -> None:
    """A thin line from a point to the nearest side of its name."""
    ends = axes.transData.inverted().transform([centre, nearest_side(centre, box)])
    axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.6, alpha=0.8, zorder=4)
