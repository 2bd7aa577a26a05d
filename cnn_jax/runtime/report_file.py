"""report.json of a run as its readers may count on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cnn_jax.errors import UserError
from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.regular_files import read_json_object

FILE = "report.json"
AVERAGE = {"precision": float, "recall": float, "f1-score": float, "support": float}
CALIBRATION = {
    "ece": float,
    "nll": float,
    "brier": float,
    "risk_area": float,
    "bins": [{"low": float, "high": float, "examples": int, "accuracy?": float}],
    "coverage": [{"examples": int, "risk": float}],
}
SHAPE = {
    "split": str,
    "protocol": str,
    "dataset?": str,
    "examples": int,
    "loss": float,
    "step?": int,
    "accuracy?": float,
    "accuracy_interval?": (float, float),
    "top5_accuracy?": float,
    "top5_accuracy_interval?": (float, float),
    "mean_absolute_error?": float,
    "root_mean_squared_error?": float,
    "r2?": float,
    "macro_average?": AVERAGE,
    "classes?": {str: AVERAGE | {"recall_interval?": (float, float)}},
    "confusion_matrix?": [[int]],
    "calibration?": CALIBRATION
    | {"scaled?": CALIBRATION | {"temperature": float, "fitted_on": str}},
    "top_losses?": [{"image": str, "label": object, "predicted": object, "loss": float}],
}


def read_report(folder: Path) -> dict[str, Any]:
    """The report in a workdir; raises `OSError`, or `ValueError` that says what is wrong."""
    report = read_json_object(folder / FILE)
    check_shape(report, SHAPE)
    if report["examples"] < 1:
        raise ValueError(f"'examples' is {report['examples']}")
    count = len(report.get("classes") or {})
    matrix = report.get("confusion_matrix") or []
    if matrix and any(length != count for length in (len(matrix), *map(len, matrix))):
        raise ValueError(f"'confusion_matrix' is not of {count} classes each way")
    return report


def unreadable(folder: Path, error: Exception) -> UserError:
    """Of a report that is there and is none."""
    reason = getattr(error, "strerror", None) or error
    return UserError(
        f"{folder / FILE} cannot be read ({reason}): remove it; this writes it again: "
        f"cnn_jax evaluate --workdir={folder}"
    )
