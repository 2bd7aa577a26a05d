"""Charts as SVG in the page: colours by classes of its style sheet, words on hover."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnn_jax.analysis.report_page.markup import number, text

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 38
MOST_POINTS = 300  # of a line
MOST_DOTS = 30  # up to so many points of a line are marked
TICKS = 4
COLOURS = 8  # in the style sheet
Point = tuple[float, float]


class Line(NamedTuple):
    """A curve; points that are not finite are left out."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    colour: int = 0


class Axes(NamedTuple):
    """Places of values, and the grid of the chart; y by its logarithm where `log`."""

    x_at: Callable[[float], float]
    y_at: Callable[[float], float]
    x_range: Point
    y_range: Point
    log: bool

    @classmethod
    def around(cls, xs: Sequence[float], ys: Sequence[float], log: bool) -> Axes:
        x_range, y_range = (min(xs), max(xs)), padded(min(ys), max(ys))
        return cls.of(x_range, y_range, log)

    @classmethod
    def of(cls, x_range: Point, y_range: Point, log: bool = False) -> Axes:
        return cls(
            place(*x_range, LEFT, WIDTH - RIGHT),
            place(*y_range, HEIGHT - BOTTOM, TOP),
            x_range,
            y_range,
            log,
        )

    def grid(self, x_label: str) -> str:
        """Lines and numbers of both axes."""
        parts = []
        for value in (log_ticks if self.log else ticks)(*self.y_range):
            y = self.y_at(math.log10(value) if self.log else value)
            parts.append(straight("g", (LEFT, y), (WIDTH - RIGHT, y)))
            parts.append(label(LEFT - 6, y + 4, number(value), "end"))
        for value in ticks(*self.x_range):
            parts.append(label(self.x_at(value), HEIGHT - BOTTOM + 16, number(value), "middle"))
        parts.append(label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, x_label, "middle"))
        return "".join(parts)


def line_chart(
    lines: Sequence[Line], x_label: str, title: str, log: bool = False, mark: float | None = None
) -> str:
    """A figure with a legend; `mark` is an x that is marked; "" where there is nothing to draw."""
    points = [finite_points(line, log) for line in lines]
    drawn = [(line, own) for line, own in zip(lines, points, strict=True) if own]
    if not drawn:
        return ""
    xs = [x for _, own in drawn for x, _ in own]
    ys = [y for _, own in drawn for _, y in own]
    axes = Axes.around(xs, ys, log)
    parts = [axes.grid(x_label)]
    if mark is not None:
        x = axes.x_at(mark)
        parts.append(straight("mark", (x, TOP), (x, HEIGHT - BOTTOM)))
    parts += [curve(line, own, axes) for line, own in drawn]
    return figure(title, x_label, parts, [(line.name, line.colour) for line, _ in drawn])


def curve(line: Line, points: list[Point], axes: Axes) -> str:
    """One line, and its points where they are few; its words on hover."""
    style = f"l c{line.colour % COLOURS}"
    places = [(axes.x_at(x), axes.y_at(y)) for x, y in thinned(points)]
    last = points[-1][1]
    words = text(f"{line.name}: {number(10**last if axes.log else last)} at the end")
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    marks = dots if len(places) <= MOST_DOTS else ""
    return f'<g class="{style}"><title>{words}</title><polyline points="{path}"/>{marks}</g>'


def bar_chart(values: Sequence[float], edges: Sequence[float], x_label: str, title: str) -> str:
    """Bars between `edges` in 0 to 1, with the diagonal that they should reach."""
    axes = Axes.of((0, 1), (0, 1))
    parts = [axes.grid(x_label)]
    for value, low, high in zip(values, edges[:-1], edges[1:], strict=True):
        if not math.isfinite(value):
            continue
        x, y = axes.x_at(low), axes.y_at(value)
        size = f'width="{axes.x_at(high) - x - 1:.1f}" height="{axes.y_at(0) - y:.1f}"'
        words = text(f"{number(low)} to {number(high)}: {number(value)}")
        shown = f"<title>{words}</title></rect>"
        parts.append(f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" {size}>{shown}')
    parts.append(straight("mark", (axes.x_at(0), axes.y_at(0)), (axes.x_at(1), axes.y_at(1))))
    return figure(title, x_label, parts, [])


def figure(title: str, x_label: str, parts: list[str], keys: Sequence[tuple[str, int]]) -> str:
    legend = "".join(
        f'<span><i class="k c{colour % COLOURS}"></i>{text(name)}</span>' for name, colour in keys
    )
    return (
        f'<figure><figcaption>{text(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{text(f"{title} by {x_label}")}">{"".join(parts)}</svg>'
        f'<div class="keys">{legend}</div></figure>'
    )


def finite_points(line: Line, log: bool) -> list[Point]:
    """The points that can be drawn; y as its logarithm where `log`."""
    pairs = zip(line.xs, line.ys, strict=True)
    kept = [(x, float(y)) for x, y in pairs if y is not None and math.isfinite(y)]
    return [(x, math.log10(y)) for x, y in kept if y > 0] if log else kept


def thinned(points: list[Point]) -> list[Point]:
    """At most `MOST_POINTS`, first and last among them."""
    if len(points) <= MOST_POINTS:
        return points
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(MOST_POINTS)]


def place(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """A value's place between `start` and `end`; in the middle where all are the same."""
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def padded(low: float, high: float) -> Point:
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`, about `TICKS` of them."""
    if high == low:
        return [low]
    raw = (high - low) / TICKS
    unit = 10 ** math.floor(math.log10(raw))
    step = next((unit * f for f in (1, 2, 2.5, 5) if unit * f >= raw), 10 * unit)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between 10**low and 10**high: powers of ten, or parts of one where it is all."""
    powers = [10.0**i for i in range(math.ceil(low), math.floor(high) + 1)]
    if len(powers) > 2:
        return powers[:: -(-len(powers) // (TICKS + 2))]
    parts = [f * 10.0**i for i in range(math.floor(low), math.ceil(high) + 1) for f in (1, 2, 5)]
    inside = [value for value in parts if low <= math.log10(value) <= high]
    return inside if len(inside) > 1 else ticks(10**low, 10**high)


def straight(style: str, start: Point, end: Point) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def label(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'
