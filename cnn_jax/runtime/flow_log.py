"""flow.jsonl: the gradient flow of a run, a row for every step at which it was measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from cnn_jax.errors import not_written
from cnn_jax.runtime.json_shape import fits
from cnn_jax.runtime.regular_files import read_regular, regular

FILE = "flow.jsonl"
SHAPE = {
    "step": int,
    "stages": {
        str: {
            "gradient?": {"norm?": float, "weights?": float},
            "activation?": {"std?": float, "dead": float, "units": float},
        }
    },
}


class FlowLog:
    """Appends rows; those after `step`, from which the run goes on, are written again."""

    def __init__(self, folder: Path, step: int):
        self.path = folder / FILE
        kept = [row for row in read_flow(folder) if row["step"] <= step]
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        temporary = folder / f".{FILE}.tmp"
        try:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
            os.replace(temporary, self.path)
        except OSError as error:
            raise not_written(FILE, self.path, error) from error

    def write(self, row: dict[str, Any]) -> None:
        try:
            with open(self.path, "a", opener=regular) as stream:
                stream.write(json.dumps(row) + "\n")
        except OSError as error:
            raise not_written(FILE, self.path, error) from error


def read_flow(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run, up to one that is cut off or damaged; none where it was not measured."""
    rows = []
    try:
        lines = read_regular(folder / FILE).decode(errors="replace").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not fits(row, SHAPE):
            break
        rows.append(row)
    return rows


def draw_flow(rows: list[dict[str, Any]], out: Path, title: str) -> None:
    """Gradient norms over weights, activations and dead units, a line a stage, by step."""
    from cnn_jax.runtime.report_pictures import plain_pyplot, save_picture

    plt = plain_pyplot()
    stages = list(rows[-1]["stages"])
    steps = [row["step"] for row in rows]
    figure, panels = plt.subplots(1, 4, figsize=(17, 3.8), layout="constrained")
    colours = plt.get_cmap("viridis")([i / max(1, len(stages) - 1) for i in range(len(stages))])

    def values(stage: str, kind: str, read: Any) -> list[float]:
        found = [row["stages"].get(stage, {}).get(kind) for row in rows]
        return [float("nan") if f is None else read(f) for f in found]

    for stage, colour in zip(stages, colours, strict=True):
        for panel, kind, read in zip(panels, KINDS, READERS, strict=True):
            line = values(stage, kind, read)
            if any(value == value for value in line):
                panel.plot(steps, line, "o-", ms=2, lw=1, color=colour, label=stage)
    for panel, name in zip(panels, TITLES, strict=True):
        panel.set(xlabel="step", title=name)
        panel.grid(alpha=0.3)
    for panel in panels[:2]:
        panel.set_yscale("log")
    panels[0].legend(frameon=False, fontsize=6, ncols=1 + len(stages) // 12)
    figure.suptitle(title, fontsize=9)
    save_picture(figure, out)


def finite(value: float | None) -> float:
    return float("nan") if value is None else value


KINDS = ("gradient", "gradient", "activation", "activation")
TITLES = (
    "norm of the gradient",
    "norm of the gradient over that of the weights",
    "standard deviation of activations",
    "dead units, share",
)
READERS = (
    lambda f: finite(f.get("norm")) or float("nan"),
    lambda f: finite(f.get("norm")) / f["weights"] if f.get("weights") else float("nan"),
    lambda f: finite(f.get("std")),
    lambda f: f["dead"] / f["units"],
)
