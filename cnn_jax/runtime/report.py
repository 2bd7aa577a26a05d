"""The report of an evaluation as text, and the curves of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cnn_jax.errors import printable

LARGEST_MATRIX = 20  # classes; a larger confusion matrix is in report.json only


SHORT = {"loss": "loss", "accuracy": "acc", "mean_absolute_error": "mae"}


def brief(figures: dict[str, float]) -> str:
    """The figures that fit on a line: "loss 0.0271 acc 0.9912"."""
    return " ".join(f"{SHORT[name]} {figures[name]:.4f}" for name in SHORT if name in figures)


def as_text(report: dict[str, Any]) -> str:
    """The report for a terminal: totals, then one line a class, then the confusion matrix."""
    totals = [
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in report.items()
        if isinstance(value, float)
    ]
    unit = f" ({report['unit']})" if "unit" in report else ""
    head = f"{report['split']}: {report['examples']} examples, {report['protocol']}, "
    lines = [head + ", ".join(totals) + unit]
    if "classes" in report:
        lines += ["", *class_table(report)]
        if len(report["classes"]) <= LARGEST_MATRIX:
            lines += ["", *matrix_table(report)]
    return "\n".join(lines)


def class_table(report: dict[str, Any]) -> list[str]:
    """Precision, recall, F1 and support by class, then their averages."""
    rows = [
        *((printable(name), row) for name, row in report["classes"].items()),
        ("macro average", report["macro_average"]),
        ("weighted average", report["weighted_average"]),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}}  precision  recall      F1  support"]
    for i, (name, row) in enumerate(rows):
        if i == len(report["classes"]):
            lines.append("")
        lines.append(
            f"{name:>{width}}  {row['precision']:9.4f}  {row['recall']:6.4f}  "
            f"{row['f1-score']:6.4f}  {row['support']:7.0f}"
        )
    absent = [printable(n) for n, row in report["classes"].items() if not row["support"]]
    if absent:
        lines.append(
            f"{report['split']} has no example of {len(absent)} of {len(report['classes'])} "
            f"classes ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}): "
            "the macro average is over the others"
        )
    return lines


def matrix_table(report: dict[str, Any]) -> list[str]:
    """Counts with one row a true class and one column a predicted class."""
    matrix, names = report["confusion_matrix"], [printable(name) for name in report["classes"]]
    width = max(map(len, names))
    cell = max(len(str(max(map(max, matrix)))), len(str(len(names)))) + 1
    header = "".join(f"{i:>{cell}}" for i in range(len(names)))
    lines = ["confusion matrix (row: truth, column: prediction)", f"{'':{width}}    {header}"]
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        counts = "".join(f"{n or '.':>{cell}}" for n in row)
        lines.append(f"{name:>{width}} {i:>2} {counts}")
    return lines


def draw_curves(rows_file: Path, out: Path) -> None:
    """Training and validation curves side by side, one panel a figure, from metrics.jsonl."""
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    rows = [row for row in rows if any(key.startswith("train/") for key in row)]
    if not rows:
        return
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    parts = list(dict.fromkeys(key.split("/")[0] for key in rows[0] if "/" in key))
    names = [key.split("/")[1] for key in rows[0] if key.startswith(f"{parts[-1]}/")]
    names = [name for name in names if f"train/{name}" in rows[0]]
    figure, panels = plt.subplots(
        1, len(names), figsize=(4.5 * len(names), 3.2), squeeze=False, layout="constrained"
    )
    epochs = [row["epoch"] for row in rows]
    for panel, name in zip(panels[0], names, strict=True):
        for part, style in zip(parts, ("-", "o-"), strict=False):
            panel.plot(epochs, [row[f"{part}/{name}"] for row in rows], style, ms=3, label=part)
        panel.set(xlabel="epoch", title=name.replace("_", " "))
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
    figure.savefig(out, dpi=120)
    plt.close(figure)
