"""The parts of the page that set several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnn_jax.analysis.report_page.markup import (
    duration,
    folded,
    number,
    percent,
    section,
    table,
)
from cnn_jax.analysis.report_page.predictions import OPEN_CLASSES
from cnn_jax.analysis.report_page.run_folder import RunFolder

SHARES = ("accuracy", "top5_accuracy")
NUMBERS = ("loss", "mean_absolute_error", "root_mean_squared_error", "r2")
CALIBRATION = {"ece": "calibration error", "brier": "Brier score"}
# Keys by which no figure differs: where files lie, and how many read them.
OF_THE_MACHINE = ("data.dir", "data.workers", "data.threads", "data.memory_megabytes")
ABSENT = "-"


def side_by_side(runs: Sequence[RunFolder]) -> str:
    """Figures of the reports, and what the runs took."""

    def row(words: str, values: list[Any]) -> list[str]:
        return [words, *(ABSENT if value is None else str(value) for value in values)]

    def shown(key: str, run: RunFolder) -> str | None:
        value = run.report.get(key)
        if value is None:
            return None
        if key not in SHARES:
            return number(value)
        if not (pair := run.report.get(f"{key}_interval")):
            return percent(value)
        return f"{percent(value)} ({100 * pair[0]:.2f} to {100 * pair[1]:.2f})"

    rows = [
        row("reported", [told(run) for run in runs]),
        *(
            row(key.replace("_", " "), [shown(key, run) for run in runs])
            for key in SHARES + NUMBERS
        ),
    ]
    for key, words in CALIBRATION.items():
        found = [(run.report.get("calibration") or {}).get(key) for run in runs]
        rows.append(row(words, [None if value is None else number(value) for value in found]))
    rows.append(row("epochs", [number(run.epochs[-1]) if run.epochs else None for run in runs]))
    times = [duration(sum(run.sessions)) if run.sessions else None for run in runs]
    rows.append(row("time of training", times))
    kept = [cells for cells in rows if any(cell != ABSENT for cell in cells[1:])]
    return section("Side by side", table(["", *(run.name for run in runs)], kept))


def told(run: RunFolder) -> str | None:
    """What a report is of: figures of other splits and protocols are not to be compared."""
    report = run.report
    if not report:
        return None
    where = report.get("dataset", run.config["data.name"])
    return f"{where}, {report['split']}, {report['protocol']}, {report['examples']:,} examples"


def differences(runs: Sequence[RunFolder]) -> str:
    """The keys of the configs whose values differ."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    rows = [
        [key, *("" if run.config.get(key) is None else run.config[key] for run in runs)]
        for key in keys
        if key not in OF_THE_MACHINE and len({repr(run.config.get(key)) for run in runs}) > 1
    ]
    names = [run.name for run in runs]
    shown = table(["key", *names], rows) if rows else "<p>The configs are the same.</p>"
    return section("What differs", shown)


def recall_by_class(runs: Sequence[RunFolder]) -> str:
    """The recall of each class in each run, where they have the same classes."""
    found = [run.report.get("classes") or {} for run in runs]
    if not found[0] or any(set(own) != set(found[0]) for own in found):
        return ""
    rows = [[name, *(f"{100 * own[name]['recall']:.1f}" for own in found)] for name in found[0]]
    shown = table(["class", *(f"{run.name}, %" for run in runs)], rows, "numbers")
    return section(
        "Recall by class", folded(f"{len(rows)} classes", shown, len(rows) <= OPEN_CLASSES)
    )
