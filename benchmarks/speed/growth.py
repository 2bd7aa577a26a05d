"""What grows with what: time, memory and compilation against depth, width, batch, resolution and
the number of images. There is no claim here to hold or to fail.

Every point is a process of its own: its peak of memory is no other's. All are train steps of this
project, in float32; the points of "images" are its loop over a set of so many.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmarks.harness.interleave import Contender, Rounds
from benchmarks.harness.machine import in_words
from benchmarks.speed import plots
from benchmarks.speed.cases import Case
from benchmarks.speed.contenders import jax_contender, measure
from benchmarks.speed.table import number, seconds
from cnn_jax.analysis import tables
from cnn_jax.runtime.progress import ProgressBar

ROUNDS = Rounds(count=3, seconds=0.7)
DEPTHS = (20, 32, 44, 56, 110)
LOOPED = (20, 56, 110, 1202)
WIDTHS = {0.25: "_025", 0.5: "_050", 0.75: "_075", 1.0: ""}
BATCHES = (8, 16, 32, 64, 128)
SIZES = (64, 96, 128, 160, 224)
IMAGES = (1_000, 4_000, 16_000, 64_000, 256_000)
COLUMNS = ("axis", "value", "ms an image", "CPU ms an image", "memory MB", "compile s", "init s")
Point = tuple[float, Case, Contender]


def axes() -> dict[str, list[Point]]:
    """Axis -> its points: the value, the case, and how it is run."""
    train, small = jax_contender("train"), Case("resnet18_32", "resnet18", 32, 64)
    lenet = Case("lenet5", "lenet5", 28, 256, channels=1)
    cifar = dataclasses.replace(small, options={"stem": "3x3"})

    def net(name: str, size: int, batch: int, **options: Any) -> Case:
        return Case(name, name, size, batch, options=options)

    return {
        "depth, resnet*_cifar": [(d, net(f"resnet{d}_cifar", 32, 32), train) for d in DEPTHS],
        "depth, blocks in a loop": [
            (d, net(f"resnet{d}_cifar", 32, 32, scan=True), train) for d in LOOPED
        ],
        "width, mobilenet_v1, 96 px": [
            (width, net(f"mobilenet_v1{end}", 96, 16), train) for width, end in WIDTHS.items()
        ],
        "batch, resnet18, 32 px": [
            (b, dataclasses.replace(cifar, batch=b), train) for b in BATCHES
        ],
        "pixels, resnet18": [(size, net("resnet18", size, 8), train) for size in SIZES],
        "images, lenet5": [(n, lenet, jax_contender("loop", examples=n)) for n in IMAGES],
    }


def grow(out: Path) -> None:
    """Measures all points, prints them, and writes growth.json and growth.png to a folder."""
    with jax_contender("train").worker() as worker:
        machine = worker.call("machine")
    points: dict[str, list[dict[str, Any]]] = {}
    todo = [(axis, *point) for axis, points in axes().items() for point in points]
    with ProgressBar("points", len(todo)) as bar:
        for done, (axis, value, case, contender) in enumerate(todo):
            bar.reach(done, f"{axis}: {value:g}")
            row = measure(case, {"cnn_jax": contender}, ROUNDS)
            points.setdefault(axis, []).append(point_of(value, row))
    print(in_words(machine))
    tables.print_table(COLUMNS, [cells(axis, p) for axis, row in points.items() for p in row])
    record = {"machine": machine, "axes": points}
    (out / "growth.json").write_text(json.dumps(record, indent=1) + "\n")
    plots.draw_growth(points, out / "growth.png")


def point_of(value: float, row: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a measured row; times are of one image."""
    result, batch = row["contenders"]["cnn_jax"], row["case"]["batch"]
    return {
        "value": value,
        "seconds": seconds(result, "wall") / batch,
        "cpu_seconds": seconds(result, "cpu") / batch,
        **{key: result[key] for key in ("peak_bytes", "compile_seconds", "init_seconds")},
        **{key: row[key] for key in ("case", "task", "parameters", "multiply_adds")},
    }


def cells(axis: str, point: dict[str, Any]) -> list[str]:
    scales = {"seconds": 1e3, "cpu_seconds": 1e3, "peak_bytes": 1e-6}
    keys = ("seconds", "cpu_seconds", "peak_bytes", "compile_seconds", "init_seconds")
    return [axis, f"{point['value']:g}", *(number(scales.get(k, 1) * point[k]) for k in keys)]
