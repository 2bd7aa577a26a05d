"""The report of an evaluation as text."""

from __future__ import annotations

import textwrap
from typing import Any

from cnn_jax.errors import printable

LARGEST_MATRIX = 20  # classes; a larger confusion matrix is in confusion.png and report.json only
SHOWN_LOSSES = 5  # examples; the others are in report.json

SHORT = {"loss": "loss", "accuracy": "acc", "mean_absolute_error": "mae"}


def brief(figures: dict[str, float]) -> str:
    """The figures that fit on a line: "loss 0.0271 acc 0.9912"."""
    return " ".join(f"{SHORT[name]} {figures[name]:.4f}" for name in SHORT if name in figures)


def as_text(report: dict[str, Any]) -> str:
    """The report for a terminal: totals, then one line a class, then the confusion matrix."""
    totals = [
        f"{name.replace('_', ' ')} {value:.4f}{interval_text(report, name)}"
        for name, value in report.items()
        if isinstance(value, float) and name != "smallest_loss"
    ]
    unit = f" ({report['unit']})" if "unit" in report else ""
    head = f"{report['split']}: {report['examples']} examples, {report['protocol']}, "
    lines = textwrap.wrap(head + ", ".join(totals) + unit, 100, break_on_hyphens=False)
    lines += calibration_lines(report)
    if report.get("smallest_loss"):
        lines.append(smoothing_text(report["smallest_loss"]))
    if "classes" in report:
        lines += ["", *class_table(report)]
        if len(report["classes"]) <= LARGEST_MATRIX:
            lines += ["", *matrix_table(report)]
        elif pairs := confused_pairs(report):
            lines += ["", *pairs]
    if report.get("top_losses"):
        lines += ["", *losses_table(report)]
    return "\n".join(lines)


def origin_text(report: dict[str, Any], epoch: float, watched: str) -> str:
    """Which of a run's weights its report is of: those that did best on the `watched` split."""
    why = f"the best on {watched}" if watched != "test" else "the last"
    return f"the report is of step {report['step']:,} (epoch {epoch:.2f}), {why}"


def interval_text(figures: dict[str, Any], name: str) -> str:
    """ " (0.9258 to 0.9701)", the 95 % interval, where there is one."""
    if f"{name}_interval" not in figures:
        return ""
    low, high = figures[f"{name}_interval"]
    return f" ({low:.4f} to {high:.4f})"


def calibration_lines(report: dict[str, Any]) -> list[str]:
    """Whether confidence is accuracy, before and after the temperature."""
    found = report.get("calibration")
    if not found:
        return []

    def figures(of: dict[str, Any]) -> str:
        return f"error {of['ece']:.4f}, log loss {of['nll']:.4f}, Brier score {of['brier']:.4f}"

    lines = [f"calibration: {figures(found)}"]
    if scaled := found.get("scaled"):
        same = ", the same examples" if scaled["fitted_on"] == report["split"] else ""
        lines.append(f"temperature {scaled['temperature']:.3f}: {figures(scaled)}")
        lines.append(f"(the temperature that fits {scaled['fitted_on']} best{same})")
    return lines


def smoothing_text(smallest: float) -> str:
    return f"the loss is against smoothed labels, and cannot be less than {smallest:.4f}"


def class_table(report: dict[str, Any]) -> list[str]:
    """Precision, recall, F1 and support by class, then their averages."""
    rows = [
        *((printable(name), row) for name, row in report["classes"].items()),
        ("macro average", report["macro_average"]),
        ("weighted average", report["weighted_average"]),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':{width}}  precision  recall      F1  support  recall, 95 % interval"]
    for i, (name, row) in enumerate(rows):
        if i == len(report["classes"]):
            lines.append("")
        line = f"{name:>{width}}  {row['precision']:9.4f}  {row['recall']:6.4f}  "
        line += f"{row['f1-score']:6.4f}  {row['support']:7.0f}  {interval_text(row, 'recall'):>21}"
        lines.append(line.rstrip())
    absent = [printable(n) for n, row in report["classes"].items() if not row["support"]]
    if absent:
        lines.append(
            f"{report['split']} has no example of {len(absent)} of {len(report['classes'])} "
            f"classes ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''}): "
            "the macro average is over the others"
        )
    return lines


def matrix_table(report: dict[str, Any]) -> list[str]:
    """Counts with one row a true class and one column a predicted class, by its number."""
    matrix, names = report["confusion_matrix"], [printable(name) for name in report["classes"]]
    width = max(map(len, names))
    cell = max(len(str(max(map(max, matrix)))), len(str(len(names)))) + 1
    header = "".join(f"{i:>{cell}}" for i in range(len(names)))
    starts = [f"{name:>{width}} {i:>2} " for i, name in enumerate(names)]
    if names == [*map(str, range(len(names)))]:  # the numbers are the names
        starts = [f"{name:>{width}} " for name in names]
    lines = ["confusion matrix (row: truth, column: prediction)", " " * len(starts[0]) + header]
    for start, row in zip(starts, matrix, strict=True):
        lines.append(start + "".join(f"{n or '.':>{cell}}" for n in row))
    return lines


def confused_pairs(report: dict[str, Any], count: int = 10) -> list[str]:
    """The commonest mistakes of a matrix that is too large to print."""
    names = [printable(name) for name in report["classes"]]
    mistakes = [
        (-n, i, j)
        for i, row in enumerate(report["confusion_matrix"])
        for j, n in enumerate(row)
        if n and i != j
    ]
    if not mistakes:
        return []
    lines = ["most confused (all in confusion.png)"]
    for n, i, j in sorted(mistakes)[:count]:
        lines.append(f"{-n:>7,} of {sum(report['confusion_matrix'][i]):,} {names[i]}: {names[j]}")
    return lines


def losses_table(report: dict[str, Any]) -> list[str]:
    """The examples with the largest losses, with the label and what was predicted."""
    rows = [["loss", "label", "predicted", "image"]]
    for row in report["top_losses"][:SHOWN_LOSSES]:
        rows.append([f"{row['loss']:.4f}", *(str(row[k]) for k in ("label", "predicted", "image"))])
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"largest losses ({len(report['top_losses'])} in top_losses.png and report.json)"]
    for loss, label, predicted, image in rows:
        cells = f"{loss:>{widths[0]}}  {label:{widths[1]}}  {predicted:{widths[2]}}  {image}"
        lines.append(cells)
    return lines
