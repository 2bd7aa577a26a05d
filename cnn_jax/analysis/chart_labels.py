"""Names beside circles of every size, clear of each other and, where it can be, of the circles.

Why not adjustText, which would be 60 lines: it knows points, and these are circles of many sizes.
On the 43 nets of the chart its names lay on the circles, three of them on another net's centre, and
it took 8 s where this takes 1.5.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

LEADER_DISTANCE = 12  # points from a circle from which a line leads to its name
DISTANCES = (3, 5, 8, 12, 17, 23, 30, 40, 52, 66)  # points from a circle that are tried
Box = tuple[float, float, float, float]  # left, bottom, right, top, in pixels
Position = tuple[float, float]  # in pixels


class Label(NamedTuple):
    """A name, its circle's centre in data coordinates, and radius in points."""

    text: str
    at: tuple[float, float]
    radius: float
    colour: str


class Circle(NamedTuple):
    """In pixels."""

    centre: Position
    radius: float


def place(axes: Any, labels: list[Label]) -> None:
    """Draws each name beside its circle.

    Every label tries places on rings around its point, nearest first, and takes the cheapest: an
    overlap with a name placed before costs most, then one with a circle's centre or area, then
    distance. A thin line leads to a name that had to go far.
    """
    figure = axes.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72
    centres = axes.transData.transform([label.at for label in labels])
    circles = [
        Circle((x, y), label.radius * scale) for (x, y), label in zip(centres, labels, strict=True)
    ]
    frame: Box = tuple(axes.get_window_extent(renderer).extents)
    placed: list[Box] = []
    obstacles: list[Box] = [
        tuple(legend.get_window_extent(renderer).extents)
        for legend in axes.get_children()
        if type(legend).__name__ == "Legend"
    ]
    # Small circles have least choice.
    for label, circle in sorted(zip(labels, circles, strict=True), key=lambda pair: pair[1].radius):
        text = axes.text(1e9, 70, label.text, fontsize=7.5, color=darker(label.colour), zorder=5)
        extent = text.get_window_extent(renderer)
        size = extent.width + 3 * scale, extent.height
        distance, box = best_place(circle, size, scale, placed, obstacles, circles, frame)
        placed.append(box)
        if distance > LEADER_DISTANCE:
            leader = leader_points(circle.centre, box)
            obstacles += [(x - 1, y - 1, x + 1, y + 1) for x, y in leader]
            draw_leader(axes, circle.centre, box, label.colour)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        text.set_position(axes.transData.inverted().transform(middle))
        text.set_ha("center")
        text.set_va("center")


def best_place(
    circle: Circle,
    size: tuple[float, float],
    scale: float,
    placed: list[Box],
    obstacles: list[Box],
    circles: list[Circle],
    frame: Box,
) -> tuple[float, Box]:
    """(distance in points, box) of the cheapest place for a name of this size in pixels."""
    costs: list[tuple[float, float, Box]] = []
    for distance in DISTANCES:
        if costs and min(costs)[0] <= distance:
            break  # no place farther out costs less
        for angle in range(0, 360, 15):
            box = box_beside(circle.centre, circle.radius + distance * scale, angle, size)
            cost = distance + 0.02 * abs((angle + 180) % 360 - 180)
            cost += 1000 * sum(overlap(box, other) for other in placed + obstacles)
            cost += 1000 * reaches_out(box, frame)
            leader = leader_points(circle.centre, box)
            cost += 60 * any(contains(other, point) for point in leader for other in placed)
            cost += sum(
                60 * contains(box, c.centre)
                + 80 * covered_share(box, c.centre, c.radius + 2 * scale)
                for c in circles
            )
            costs.append((cost, distance, box))
    _, distance, box = min(costs, key=lambda entry: entry[0])
    return distance, box


def box_beside(centre: Position, distance: float, angle: float, size: tuple[float, float]) -> Box:
    """The box whose nearest side is `distance` from `centre` in the direction of `angle`."""
    dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    width, height = size
    x = centre[0] + distance * dx + width / 2 * dx
    y = centre[1] + distance * dy + height / 2 * dy
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def overlap(a: Box, b: Box) -> bool:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return width > 0 and height > 0


def reaches_out(box: Box, frame: Box) -> bool:
    return box[0] < frame[0] or box[1] < frame[1] or box[2] > frame[2] or box[3] > frame[3]


def contains(box: Box, point: Position) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def covered_share(box: Box, centre: Position, radius: float) -> float:
    """How much of a box lies under a circle, roughly: 0 to 1."""
    x, y = nearest_side(centre, box)
    return max(0.0, 1 - math.hypot(x - centre[0], y - centre[1]) / radius)


def darker(colour: str) -> tuple[float, float, float]:
    """A colour for small text."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.62 * red, 0.62 * green, 0.62 * blue


def nearest_side(centre: Position, box: Box) -> Position:
    """The point of a box that is nearest to `centre`."""
    return min(max(centre[0], box[0]), box[2]), min(max(centre[1], box[1]), box[3])


def leader_points(centre: Position, box: Box) -> list[Position]:
    """Points on the line from `centre` to a box."""
    x, y = nearest_side(centre, box)
    return [
        (centre[0] + t / 12 * (x - centre[0]), centre[1] + t / 12 * (y - centre[1]))
        for t in range(12)
    ]


def draw_leader(axes: Any, centre: Position, box: Box, colour: str) -> None:
    """A thin line from a point to the nearest side of its name."""
    ends = axes.transData.inverted().transform([centre, nearest_side(centre, box)])
    axes.plot(ends[:, 0], ends[:, 1], color=colour, linewidth=0.6, alpha=0.8, zorder=4)
