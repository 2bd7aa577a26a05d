"""What the runs of a claim say class by class and epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.runtime.report import as_text
from cnn_jax.runtime.result_files import write_picture, write_result
from experiments.measures import Record

Records = dict[str, list[Record]]  # {variant: one record a seed}


def write(records: Records, folder: Path) -> None:
    """report.txt, confusion.png and curves.png, as far as the runs have what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    trained = {name: [r for r in runs if "report" in r] for name, runs in records.items()}
    trained = {name: runs for name, runs in trained.items() if runs}
    if not trained:
        return
    if all("confusion_matrix" in run["report"] for runs in trained.values() for run in runs):
        write_result("the report", folder / "report.txt", reports(trained))
        draw_confusions(trained, folder / "confusion.png")
    draw_curves(trained, folder / "curves.png")


def reports(records: Records) -> str:
    """The full report of each variant's run with the median macro accuracy."""
    texts = [f"== {name}\n\n{as_text(median_report(runs))}" for name, runs in records.items()]
    return "\n\n".join(texts) + "\n"


def median_report(runs: Sequence[Record]) -> dict[str, Any]:
    ordered = sorted(runs, key=lambda run: run["report"]["macro_average"]["recall"])
    return ordered[(len(ordered) - 1) // 2]["report"]


def draw_confusions(records: Records, path: Path) -> None:
    """Confusion matrices, summed over seeds, as shares of each true class."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(records))
    lines = -(-len(records) // columns)
    size = (3.4 * columns + 1, 3.4 * lines + 0.8)
    figure, panels = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in panels.flat[len(records) :]:
        panel.axis("off")
    for i, (variant, runs) in enumerate(records.items()):
        matrix = np.sum([run["report"]["confusion_matrix"] for run in runs], 0)
        panel, names = panels.flat[i], list(runs[0]["report"]["classes"])
        panel.imshow(matrix / matrix.sum(1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
        panel.set_title(variant, fontsize=9)
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
        panel.set_yticks(range(len(names)), names if i % columns == 0 else [], fontsize=5)
    figure.supxlabel("predicted", fontsize=8)
    figure.supylabel("true", fontsize=8)
    write_picture(figure, path, dpi=130)
    plt.close(figure)


def draw_curves(records: Records, path: Path) -> None:
    """Loss and accuracy by epoch on the watched split, the mean over the seeds of each variant."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for variant, runs in records.items():
        evaluations = [run["evaluations"] for run in runs]
        split = "validation" if "validation/loss" in evaluations[0][0] else "test"
        epochs = [row["epoch"] for row in evaluations[0]]
        for panel, figure_name in zip(panels, ("loss", "accuracy"), strict=True):
            key = f"{split}/{figure_name}"
            values = np.mean([[row[key] for row in rows] for rows in evaluations], 0)
            panel.plot(epochs, values, "o-", ms=3, label=variant)
            panel.set(xlabel="epoch", title=f"{split} {figure_name}")
            panel.grid(alpha=0.3)
    panels[0].set_yscale("log")
    panels[1].legend(frameon=False, fontsize=8)
    write_picture(figure, path, dpi=130)
    plt.close(figure)
