"""The accuracy-operations-parameters chart: every net with a published single-crop accuracy.

After Canziani, Paszke, Culurciello, "An analysis of deep neural network models for practical
applications", 2016, fig. 2: top-1 against multiply-adds, a circle's area the parameters.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from cnn_jax.analysis.chart_labels import Label, place

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
SUBTITLE = (
    "ILSVRC-2012 validation, a single centre crop of the net's own input size. Filled: the "
    "authors' figure of this very net; open: others' weights, or a relative of the net.\n"
    "*: on the 48,238 images that are not blacklisted, around 0.2 points better than on all 50,000."
)


class ChartPoint(NamedTuple):
    """One net: multiply-adds, parameters, top-1 in percent.

    `is_own`: the accuracy is the authors' and of this very net. `is_selected`: of a part of the
    images, which flatters.
    """

    name: str
    multiply_adds: int
    parameters: int
    top1: float
    is_own: bool
    is_selected: bool = False

    @property
    def colour(self) -> str:
        return next(COLOURS[f] for start, f in FAMILIES.items() if self.name.startswith(start))

    @property
    def area(self) -> float:
        return POINTS_PER_MILLION * self.parameters / 1e6


def draw_chart(points: list[ChartPoint], out: Path) -> None:
    """Writes the chart; its format is by the ending of `out`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    points = sorted(points, key=lambda p: -p.parameters)  # small circles over large ones
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.edgecolor": "#999999",
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=(12.5, 8), dpi=150)
        figure.subplots_adjust(left=0.06, right=0.985, top=0.875, bottom=0.105)
        draw_circles(axes, points)
        set_axes(axes)
        title = "Accuracy, operations and parameters"
        figure.text(0.06, 0.95, title, fontsize=16, color=INK, weight="bold")
        figure.text(0.06, 0.893, SUBTITLE, color=INK)
        draw_legends(axes)
        place_labels(axes, points)
        figure.savefig(out)
        plt.close(figure)


def draw_circles(axes: Any, points: list[ChartPoint]) -> None:
    """A circle a net, filled where its authors published the accuracy, with its centre."""
    from matplotlib.colors import to_rgba

    for point in points:
        axes.scatter(
            point.multiply_adds,
            point.top1,
            s=point.area,
            facecolor=to_rgba(point.colour, 0.55) if point.is_own else (1, 1, 1, 0.45),
            edgecolor=point.colour,
            linewidth=1.1,
            zorder=2,
        )
        axes.scatter(point.multiply_adds, point.top1, s=5, color=point.colour, zorder=3)


def set_axes(axes: Any) -> None:
    """Scales, ticks and titles of the axes."""
    from matplotlib.ticker import FuncFormatter

    axes.set_xscale("log")
    axes.set_xlim(2.8e7, 7e10)
    axes.set_yscale("function", functions=(to_error_scale, from_error_scale))
    axes.set_ylim(48.5, 85.5)
    axes.set_yticks([50, 55, 60, 65, 70, 72, 74, 76, 78, 80, 82, 84])
    axes.xaxis.set_major_formatter(FuncFormatter(operations_text))
    axes.grid(color="#e6e6e6", linewidth=0.7, zorder=0)
    axes.tick_params(length=0, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("multiply-adds for one image (convolutions and dense layers)", color=INK)
    axes.set_ylabel("top-1 accuracy, %  (spaced by the logarithm of the error)", color=INK)


def to_error_scale(top1: Any) -> Any:
    """Accuracy -> minus the logarithm of the error: equal steps are equal shares of errors gone."""
    import numpy as np

    return -np.log(np.maximum(100.0 - np.asarray(top1), 1e-3))


def from_error_scale(position: Any) -> Any:
    """The inverse of `to_error_scale`."""
    import numpy as np

    return 100.0 - np.exp(-np.asarray(position))


def operations_text(value: float, _: Any = None) -> str:
    """3e9 -> "3 G"."""
    return f"{value / 1e9:g} G" if value >= 1e9 else f"{value / 1e6:g} M"


def draw_legends(axes: Any) -> None:
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


def place_labels(axes: Any, points: list[ChartPoint]) -> None:
    """Each name beside its circle, in a darker tone of the circle's colour."""
    labels = [
        Label(
            p.name + "*" * p.is_selected,
            (p.multiply_adds, p.top1),
            math.sqrt(p.area) / 2,
            p.colour,
        )
        for p in points
    ]
    place(axes, labels)
