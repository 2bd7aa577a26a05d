"""The parts of the page about the run itself, each as HTML, or "" where it has nothing to show."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnn_jax.analysis.published import published_figures
from cnn_jax.analysis.report_page.markup import (
    duration,
    folded,
    image,
    interval,
    number,
    percent,
    png_of,
    section,
    table,
    text,
    tiles,
)
from cnn_jax.analysis.report_page.run_folder import RunFolder, Weights
from cnn_jax.analysis.report_page.svg import Line, bar_chart, line_chart

SHEET = 480  # pixels, about, that the sheet of filters is wide
FILTERS_A_ROW = 16
FIGURES = ("mean_absolute_error", "root_mean_squared_error", "r2")


def headline(run: RunFolder, weights: Weights | None) -> str:
    """The figures of the report, the paper's beside them, and what it took."""
    found = report_tiles(run.report)
    if not run.report:
        found.append(("the run has no report: it has not ended", "no report"))
    found += published_tiles(run)
    if run.epochs:
        best = run.reported_epoch
        words = "epochs" if best is None else f"epochs; the report is of epoch {number(best)}"
        found.append((words, number(run.epochs[-1])))
    if run.sessions:
        count = len(run.sessions)
        words = "of training" if count == 1 else f"of training, in {count} starts"
        found.append((words, duration(sum(run.sessions))))
    if weights:
        found.append(("parameters", f"{weights.parameters:,}"))
    return tiles(found)


def report_tiles(report: dict[str, Any]) -> list[tuple[str, str]]:
    split, out = report.get("split", "test"), []
    for key in ("accuracy", "top5_accuracy"):
        if report.get(key) is not None:
            words = f"{split} {key.replace('_', ' ')}, {report.get('protocol', '')}"
            if pair := report.get(f"{key}_interval"):
                words += f"; 95 % interval {interval(pair)}"
            out.append((words, percent(report[key])))
    if report.get("macro_average"):
        words = "recall, the mean over the classes that it has"
        out.append((words, percent(report["macro_average"]["recall"])))
    for key in FIGURES:
        if report.get(key) is not None:
            out.append((f"{split} {key.replace('_', ' ')}", number(report[key])))
    if "loss" in report:
        out.append((f"{split} loss, {report['examples']:,} examples", number(report["loss"])))
    return out


def published_tiles(run: RunFolder) -> list[tuple[str, str]]:
    """The published accuracy of the net, with what it is of, which may be other data."""
    row = published_figures().get(str(run.config["model.name"]))
    if row is None:
        return []
    if row.paper_top1 is not None:
        words = [f"published: {row.paper}", row.population, row.paper_protocol, row.paper_net]
        return [("; ".join(filter(None, words)), f"{row.paper_top1:g} %")]
    if row.crop_top1 is not None:
        words = [f"published by {row.crop_by}", row.population, row.crop_protocol, row.crop_net]
        return [("; ".join(filter(None, words)), f"{row.crop_top1:g} %")]
    return []


def curves(runs: Sequence[RunFolder]) -> str:
    """Loss, figure and rate by epoch; of several runs those on the watched split."""
    one, charts = len(runs) == 1, []
    for key in ("loss", "accuracy", "mean_absolute_error"):
        lines = []
        for colour, run in enumerate(runs):
            if one:
                lines.append(Line("train", run.epochs, run.column(f"train/{key}"), 0))
            name = run.watched if one else run.name
            watched = run.column(f"{run.watched}/{key}")
            lines.append(Line(name, run.epochs, watched, 1 if one else colour))
        title = key.replace("_", " ") if one else f"{runs[0].watched} {key.replace('_', ' ')}"
        mark = runs[0].reported_epoch if one else None
        charts.append(line_chart(lines, "epoch", title, mark=mark))
    charts.append(rate_chart(runs))
    norms = []
    for colour, run in enumerate(runs):
        epochs = [row["epoch"] for row in run.steps]
        norms.append(
            Line(run.name, epochs, [row.get("gradient_norm") for row in run.steps], colour)
        )
    charts.append(line_chart(norms, "epoch", "norm of the gradient", log=True))
    shown = "".join(charts)
    if not shown:
        return ""
    hint = "The dotted line is the evaluation that the report is of." if one else ""
    return section("Training", f'<div class="charts">{shown}</div>', hint)


def rate_chart(runs: Sequence[RunFolder]) -> str:
    lines = [
        Line(run.name, run.epochs, run.column("learning_rate"), i) for i, run in enumerate(runs)
    ]
    rates = [rate for line in lines for rate in line.ys if rate]
    wide = bool(rates) and max(rates) > 5 * min(rates)
    return line_chart(lines, "epoch", "learning rate", log=wide)


def flow(run: RunFolder) -> str:
    """Gradient norms, activations and dead units by stage."""
    if not run.flow:
        return ""
    stages = list(run.flow[-1]["stages"])
    steps = [row["step"] for row in run.flow]

    def value(row: dict[str, Any], stage: str, kind: str, key: str, over: str) -> float | None:
        figures = row["stages"].get(stage, {}).get(kind) or {}
        own, whole = figures.get(key), figures.get(over) if over else 1
        return own / whole if own is not None and whole else None

    def chart(kind: str, key: str, over: str, title: str, log: bool = False) -> str:
        lines = [
            Line(stage, steps, [value(row, stage, kind, key, over) for row in run.flow], i)
            for i, stage in enumerate(stages)
        ]
        return line_chart(lines, "step", title, log)

    shown = "".join(
        (
            chart("gradient", "norm", "", "norm of the gradient by stage", log=True),
            chart("gradient", "norm", "weights", "the same over that of the weights", log=True),
            chart("activation", "std", "", "standard deviation of activations"),
            chart("activation", "dead", "units", "share of dead units"),
        )
    )
    hint = "A unit is dead where it is the same for every example that was looked at."
    return section("Gradient flow", f'<div class="charts">{shown}</div>', hint)


def calibration(run: RunFolder) -> str:
    """Whether confidence is accuracy, as trained and at a temperature; risk by coverage."""
    found = run.report.get("calibration")
    if not found or not found["bins"]:
        return ""
    kinds = [("as trained", found)]
    if scaled := found.get("scaled"):
        words = f"at temperature {scaled['temperature']:.3f}, fitted on {scaled['fitted_on']}"
        kinds.append((words, scaled))
    charts, lines = "", []
    for colour, (name, of) in enumerate(kinds):
        bins = of["bins"]
        edges = [b["low"] for b in bins] + [bins[-1]["high"]]
        values = [b["accuracy"] if b["examples"] else float("nan") for b in bins]
        charts += bar_chart(values, edges, "confidence", f"accuracy by confidence, {name}")
        shares = [point["examples"] / run.report["examples"] for point in of["coverage"]]
        risks = [point["risk"] for point in of["coverage"]]
        lines.append(Line(name, shares, risks, colour))
    charts += line_chart(lines, "share answered, the most confident", "share of mistakes")
    names = {
        "ece": "calibration error",
        "nll": "log loss",
        "brier": "Brier score",
        "risk_area": "mean risk over coverages",
    }
    rows = [[words, *(number(of[key]) for _, of in kinds)] for key, words in names.items()]
    figures = table(["", *(name for name, _ in kinds)], rows, "numbers")
    hint = "On the dotted line confidence is accuracy. The error is the mean distance from it."
    return section("Calibration", f'{figures}<div class="charts">{charts}</div>', hint)


def filters(weights: Weights | None) -> str:
    """The first convolution's kernels, in one picture."""
    if weights is None or weights.kernels is None:
        return ""
    kernels = weights.kernels
    height, width, channels, count = kernels.shape
    scaled = 0.5 + 0.5 * kernels / (float(np.abs(kernels).max()) or 1.0)
    if channels != 3:
        scaled = np.repeat(scaled.mean(2, keepdims=True), 3, axis=2)
    columns = min(count, FILTERS_A_ROW)
    rows = -(-count // columns)
    sheet = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, 3))
    for i in range(count):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = scaled[..., i]
    pixels = (255 * np.clip(sheet, 0, 1)).astype(np.uint8)
    times = max(1, SHEET // pixels.shape[1])
    words = f"{count} filters of {height} x {width} x {channels}"
    picture = image(png_of(pixels.repeat(times, 0).repeat(times, 1)), words, "pixels")
    return section("First-layer filters", picture, f"{words}; grey is zero.")


def provenance(run: RunFolder) -> str:
    """Command, code, machine and config: what it takes to do it again."""
    environment = run.environment
    words, devices = environment.get("command") or [], environment.get("devices") or []
    hardware = f"{len(devices)} x {environment.get('device_kind', '?')}, "
    versions = {"python": environment.get("python", "?"), **(environment.get("versions") or {})}
    rows = [
        ["command", shlex.join(map(str, words)) if words else "not known"],
        ["code", str(environment.get("git_commit") or "not known")],
        ["hardware", hardware + f"{environment.get('cpus', '?')} CPU cores"],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items())],
        ["folder", str(run.folder)],
    ]
    config = [[key, "" if value is None else value] for key, value in run.config.items()]
    whole = folded(f"all {len(config)} keys of the config", table(["key", "value"], config))
    return section("How it was made", table([], rows) + whole)


def about(run: RunFolder) -> str:
    """The run in a line."""
    config = run.config
    rate = config.get("optimizer.learning_rate")
    words = f"{run.name}: {config.get('optimizer.name')}"
    words += "" if rate is None else f" at {rate:g}"
    words += f", batches of {config.get('batch_size')}, seed {config.get('seed')}"
    return f'<p class="sub">{text(words)}</p>'
