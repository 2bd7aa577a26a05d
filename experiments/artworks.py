"""The paintings study: from scratch, fine-tuned, in part frozen, modified, and each change alone.

    python -m experiments.artworks --data=PATH --weights=WEIGHTS
    python -m experiments.artworks --data=PATH --weights=RUN --model=resnet18 --image_size=64

Every row of configs/artworks.py over the same seeds; the split is the same for all. Runs that are
done in --work are not repeated, and one that was stopped goes on. Written to --out: `table.md`,
`results.json`, `report.txt` (classification reports and confusion matrices), `confusion.png` and
`curves.png`. Claim: fine-tuning beats training from scratch by more than the spread of the seeds.
A net of two-layer blocks has no depthwise form: `modified` is then GELU and CBAM, and says so.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.harness.machine import in_words, machine
from cnn_jax import cli, models
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.report import as_text
from configs import artworks

TRAINED = {
    "scratch": "all, from scratch",
    "finetune": "all, from the weights",
    "freeze_1_4": "the head",
    "freeze_1_3": "the last stage and the head",
}


def main(argv: Sequence[str]) -> int:
    del argv
    for row in ROWS.value:
        if row not in artworks.ROWS:
            raise unknown("rows", row, artworks.ROWS)
    rows = [row for row in ROWS.value if changes_of(row) is not None]
    results = {row: [run(row, seed) for seed in range(SEEDS.value)] for row in rows}
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    found = {
        "claim": "fine-tuning beats scratch by more than the spread of the seeds",
        "verdict": verdict(results),
        "protocol": protocol(),
        "machine": machine(),
        "rows": {row: summary(runs) for row, runs in results.items()},
    }
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "table.md").write_text(table(found))
    (out / "report.txt").write_text(reports(results))
    draw_matrices(results, out / "confusion.png")
    draw_curves(rows, out / "curves.png")
    print(table(found))
    return 1 if found["verdict"] == "fails" else 0


def changes_of(row: str) -> dict[str, Any] | None:
    """The net's options in a row; None where this net has none of the changes."""
    changes = artworks.MODIFIED if row == "modified" else artworks.CHANGES.get(row, {})
    if MODEL.value not in models.REGISTRY:
        raise unknown("model", MODEL.value, models.names())
    known = models.REGISTRY[MODEL.value].options()
    kept = {key: value for key, value in changes.items() if key in known}
    return None if changes and not kept else kept


def config_of(row: str, seed: int) -> Any:
    config = artworks.get_config(f"{row}:folder:{DATA.value}")
    config.model.update(dict.fromkeys(config.model, None))  # the options of this net's name
    config.model.update({"name": MODEL.value, "num_classes": 0, **changes_of(row)})
    config.data.image_size, config.batch_size = IMAGE_SIZE.value, BATCH_SIZE.value
    config.seed, config.epochs = seed, EPOCHS.value
    if config.init["from"]:
        config.init["from"] = WEIGHTS.value
    return config.lock()


def run(row: str, seed: int) -> dict[str, Any]:
    """The report of one run, with the seconds that it took in all."""
    from cnn_jax.train import train_and_evaluate

    folder = Path(WORK.value) / MODEL.value / row / str(seed)
    clock = folder / "seconds.json"
    before = json.loads(clock.read_text()) if clock.exists() else 0.0
    done = (folder / "report.json").exists()
    begun = time.monotonic()
    try:
        found = train_and_evaluate(config_of(row, seed), str(folder))
    finally:
        seconds = before + (0.0 if done else time.monotonic() - begun)
        if folder.exists():
            clock.write_text(json.dumps(seconds))
    return {**found, "seconds": seconds}


def protocol() -> dict[str, Any]:
    config = artworks.get_config("scratch:digits")
    return {
        "model": MODEL.value,
        "image_size": IMAGE_SIZE.value,
        "epochs": EPOCHS.value,
        "batch_size": BATCH_SIZE.value,
        "seeds": SEEDS.value,
        "weights": source(),
        "data": Path(DATA.value).name,
        "split": "80/10/10 by class, the same for all runs",
        "rate": "3e-3 from scratch, 3e-4 from weights, times 0.7 after every epoch; Adam",
        "augment": list(config.augment),
        "reported": "the checkpoint that is best on the validation split",
    }


def source() -> str:
    """In words, which weights were begun with."""
    from cnn_jax.transfer.initial_weights import read_trained_weights

    return read_trained_weights(WEIGHTS.value, "weights").source


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and deviations over the seeds of a row."""
    by_name = {
        "accuracy": [run["accuracy"] for run in runs],
        "macro_accuracy": [run["macro_average"]["recall"] for run in runs],
        "macro_f1": [run["macro_average"]["f1-score"] for run in runs],
        "seconds": [run["seconds"] for run in runs],
    }
    return {
        name: {
            "mean": statistics.fmean(values),
            "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
            "runs": values,
        }
        for name, values in by_name.items()
    }


def verdict(results: dict[str, list[dict[str, Any]]]) -> str:
    """Whether the worst fine-tuned run is above the best from scratch, by macro accuracy."""
    if not {"finetune", "scratch"} <= set(results):
        return "not tested"
    macro = {r: [run["macro_average"]["recall"] for run in results[r]] for r in results}
    return "holds" if min(macro["finetune"]) > max(macro["scratch"]) else "fails"


def table(found: dict[str, Any]) -> str:
    """Markdown: what was run on what, then one line a row."""
    p = found["protocol"]
    lines = [
        f"# {p['data']}: {p['model']} at {p['image_size']} px",
        "",
        f"{p['epochs']:g} epochs, batch {p['batch_size']}, {p['seeds']} seed(s), {p['rate']}; "
        f"augmentation {', '.join(p['augment'])}; {p['split']}; weights: {p['weights']}; "
        f"{p['reported']}.",
        "",
        in_words(found["machine"]),
        "",
        "| row | trained | macro accuracy | accuracy | macro F1 | minutes a run |",
        "|---|---|---|---|---|---|",
    ]
    for row, figures in found["rows"].items():
        changes = ", ".join(f"{k}={v}" for k, v in (changes_of(row) or {}).items())
        cells = [row, TRAINED.get(row, f"all, from scratch; {changes}")]
        for name in ("macro_accuracy", "accuracy", "macro_f1"):
            one = figures[name]
            cells.append(f"{100 * one['mean']:.1f} ± {100 * one['deviation']:.1f} %")
        cells.append(f"{figures['seconds']['mean'] / 60:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Claim: {found['claim']}: {found['verdict']}.", ""]
    return "\n".join(lines)


def reports(results: dict[str, list[dict[str, Any]]]) -> str:
    """The full report of every row's run with the median macro accuracy."""
    return "\n\n".join(f"== {row}\n\n{as_text(median(runs))}" for row, runs in results.items())


def median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    ordered = sorted(runs, key=lambda run: run["macro_average"]["recall"])
    found = dict(ordered[(len(ordered) - 1) // 2])
    del found["seconds"]
    return found


def draw_matrices(results: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """Confusion matrices, summed over seeds, as shares of each true class."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(results))
    lines = -(-len(results) // columns)
    size = (3.4 * columns + 1, 3.4 * lines + 0.8)
    figure, panels = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for panel in panels.flat[len(results) :]:
        panel.axis("off")
    for i, (row, runs) in enumerate(results.items()):
        matrix = sum(np.array(run["confusion_matrix"]) for run in runs)
        panel, names = panels.flat[i], list(runs[0]["classes"])
        panel.imshow(matrix / matrix.sum(1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1)
        panel.set_title(row, fontsize=9)
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=5)
        panel.set_yticks(range(len(names)), names if i % columns == 0 else [], fontsize=5)
    figure.supxlabel("predicted", fontsize=8)
    figure.supylabel("true", fontsize=8)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def draw_curves(rows: list[str], out: Path) -> None:
    """Validation loss and accuracy by epoch, the mean over seeds of each row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for row in rows:
        logs = [curve(Path(WORK.value) / MODEL.value / row / str(s)) for s in range(SEEDS.value)]
        for panel, name in zip(panels, ("loss", "accuracy"), strict=True):
            values = np.mean([[point[f"validation/{name}"] for point in log] for log in logs], 0)
            panel.plot([point["epoch"] for point in logs[0]], values, "o-", ms=3, label=row)
            panel.set(xlabel="epoch", title=f"validation {name}")
            panel.grid(alpha=0.3)
    panels[0].set_yscale("log")
    panels[1].legend(frameon=False, fontsize=8)
    figure.savefig(out, dpi=130)
    plt.close(figure)


def curve(folder: Path) -> list[dict[str, float]]:
    """The evaluations of a run."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found = [row for row in rows if "validation/loss" in row]
    if not found:
        raise UserError(f"{folder} has no evaluations on validation: the split is empty")
    return found


if __name__ == "__main__":  # flags only here, so that experiments can be imported
    DATA = flags.DEFINE_string("data", None, "Folder of class folders.", required=True)
    WEIGHTS = flags.DEFINE_string("weights", None, "A workdir, or imported weights.", required=True)
    MODEL = flags.DEFINE_string("model", "resnet50_v1_5", "The net of all rows.")
    IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Pixels a side.", lower_bound=32)
    EPOCHS = flags.DEFINE_float("epochs", 10.0, "Of every run.", lower_bound=0.0)
    BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images a step.", lower_bound=1)
    SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of every row.", lower_bound=1)
    ROWS = flags.DEFINE_list("rows", list(artworks.ROWS), "Which rows.")
    WORK = flags.DEFINE_string("work", "runs/artworks", "Where the runs lie.")
    OUT = flags.DEFINE_string("out", "experiments/results/artworks", "Where the results go.")
    cli.run(main)
