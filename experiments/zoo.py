"""Accuracy against operations and parameters, measured: nets of the zoo on one set by one recipe.

    python -m experiments.zoo --data_dir=PATH [--nets=lenet5,resnet18] [--budget=MINUTES]

Every net of NETS as its paper has it, on CIFAR-10 at 32 pixels, by the one RECIPE below: no net's
own, so that a net that needs another rate, or more epochs, is behind. VGG is left out, whose dense
layers have 124 M parameters at any size. The cheapest come first. Runs
are kept in --work by their content, and what was stopped goes on; results/zoo.json, its table
results/zoo.md and its chart results/zoo.png have what is done so far.

Price: an hour and a half of one core for the nets under 50 M multiply-adds, three seeds each.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli, models
from cnn_jax.analysis.stages import summarize
from cnn_jax.errors import unknown
from cnn_jax.runtime.result_files import write_picture, write_result
from experiments.measures import TEST_ACCURACY
from experiments.runner import Cache, Job, cores, perform_all
from experiments.scales import last_epoch

NETS = (
    *("perceptron", "mlp", "lenet5", "bn_lenet", "googlenet", "bn_inception"),
    *("plain20_cifar", "resnet20_cifar", "resnet20_v2_cifar", "resnet56_cifar"),
    *("resnet18", "resnet34", "resnet50", "resnet50_v2", "seresnet50", "resnext50_32x4d"),
    *("mobilenet_v1_025", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small"),
    "efficientnet_b0",
)
AUXILIARY = {"googlenet": 2}  # heads
CONFIG = "lenet5:cifar10"  # of everything but the net
SIDE, CHANNELS = 32, 3
RECIPE = {
    **last_epoch(4.0, data__validation=35_000.0),
    "augment": ("pad_and_crop(4)", "horizontal_flip"),
    "optimizer.name": "adam",
    "optimizer.learning_rate": 1e-3,
    "schedule.name": "cosine",
    "schedule.warmup_epochs": 0.5,
    "batch_size": 64,
}
RECIPE_IN_WORDS = (
    "15,000 training images of CIFAR-10 at 32 pixels, 4 epochs of Adam at 1e-3 with a warm-up and "
    "a cosine, batches of 64, crops and flips; accuracy on the 10,000 test images"
)
FOLDER = Path(__file__).parent / "results"


def job(net: str, seed: int) -> Job:
    """One training; what heads say that only training has counts for nothing."""
    changes = RECIPE | {"model.name": net, "seed": seed, "data.split_seed": seed}
    return Job(CONFIG, changes | {"loss.auxiliary_weights": (0.0,) * AUXILIARY.get(net, 0)})


def sizes(net: str) -> tuple[int, int]:
    """(multiply-adds of one image, parameters)"""
    summary = summarize(models.create(net, num_classes=10), (SIDE, SIDE, CHANNELS))
    return summary.multiply_adds, summary.inference_parameters


def rows_of(
    nets: Iterable[str], seeds: int, cache: Cache, size_of: dict[str, tuple[int, int]]
) -> list[dict[str, Any]]:
    """A row for each net whose runs are done, by operations."""
    rows = []
    for net in nets:
        records = [cache.find(job(net, seed)) for seed in range(seeds)]
        done = [record for record in records if record is not None]
        if len(done) < seeds:
            continue
        values = [TEST_ACCURACY(record) for record in done]
        operations, parameters = size_of[net]
        rows.append(
            {
                "net": net,
                "multiply_adds": operations,
                "parameters": parameters,
                "accuracies": values,
                "mean": statistics.fmean(values),
                "deviation": statistics.stdev(values) if seeds > 1 else 0.0,
                "seconds": round(statistics.fmean(record["seconds"] for record in done), 1),
            }
        )
    return sorted(rows, key=lambda row: row["multiply_adds"])


def table(rows: Sequence[dict[str, Any]], machine: str) -> str:
    """The page of the rows."""
    lines = [
        "# Accuracy, operations and parameters, measured",
        "",
        "![zoo](zoo.png)",
        "",
        f"{RECIPE_IN_WORDS}. One recipe for all, no net's own.",
        "",
        "| net | multiply-adds, M | parameters, M | accuracy, % | deviation | n | seconds a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| `{row['net']}` | {row['multiply_adds'] / 1e6:.3g} | {row['parameters'] / 1e6:.3g} "
            f"| {row['mean']:.2f} | {row['deviation']:.2f} | {len(row['accuracies'])} "
            f"| {row['seconds']:.0f} |"
        )
    return "\n".join([*lines, "", machine, "", "`python -m experiments.zoo`"]) + "\n"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Accuracy by multiply-adds, the area of a circle by the parameters, names beside them."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from cnn_jax.analysis.chart_labels import Label, place

    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    axes.set_xscale("log")
    labels = []
    for row in rows:
        at, area = (row["multiply_adds"], row["mean"]), 20 * row["parameters"] / 1e6
        axes.scatter(*at, s=area, color="tab:blue", alpha=0.3)
        axes.errorbar(*at, yerr=row["deviation"], fmt=".", color="tab:blue", capsize=2)
        labels.append(Label(row["net"], at, math.sqrt(area) / 2, "#1f3d5c"))
    axes.set_xlabel("multiply-adds for one image")
    axes.set_ylabel("test accuracy, %, with its deviation; area: parameters")
    axes.set_title(RECIPE_IN_WORDS, fontsize=8, wrap=True)
    axes.grid(color="#e6e6e6", zorder=0)
    place(axes, labels)
    write_picture(figure, path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def write(rows: list[dict[str, Any]], folder: Path, machine: str) -> None:
    """JSON, page and chart."""
    text = json.dumps({"recipe": RECIPE_IN_WORDS, "machine": machine, "nets": rows}, indent=1)
    write_result("the figures", folder / "zoo.json", text + "\n")
    write_result("the page", folder / "zoo.md", table(rows, machine))
    draw(rows, folder / "zoo.png")


def main(argv: Sequence[str]) -> int:
    from benchmarks.harness.machine import in_words, machine
    from experiments.run import ending

    del argv
    nets = [*dict.fromkeys(NETS_FLAG.value or NETS)]
    for net in nets:
        if net not in NETS:
            raise unknown("nets", net, NETS)
    size_of = {net: sizes(net) for net in nets}
    nets = sorted(nets, key=lambda net: size_of[net])
    cache, until = Cache(Path(WORK.value)), time.monotonic() + 60 * BUDGET.value
    jobs = [job(net, seed) for net in nets for seed in range(SEEDS.value)]
    missing = [each for each in jobs if cache.find(each) is None]
    if DRY_RUN.value:
        for each in missing:
            print(each.command(cache.place(each) / "workdir", DATA_DIR.value))
        return 0
    rows_now = functools.partial(rows_of, nets, SEEDS.value, cache, size_of)
    print(f"{len(missing)} runs to do", flush=True)
    for each, record in perform_all(missing, cache, DATA_DIR.value, cores(PROCESSES.value), until):
        print(f"{each.changes['model.name']}, seed {each.changes['seed']}: {ending(record)}")
    if rows := rows_now():
        write(rows, FOLDER, in_words(machine()))
    print(f"{len(rows)} of {len(nets)} nets are done")
    return 0 if len(rows) == len(nets) else 1


if __name__ == "__main__":
    NETS_FLAG = flags.DEFINE_list("nets", [], "Some of the nets; all where none is named.")
    SEEDS = flags.DEFINE_integer("seeds", 3, "Runs a net.", 1)
    BUDGET = flags.DEFINE_float("budget", math.inf, "Minutes after which no run starts.", 0.0)
    DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the training commands.")
    PROCESSES = flags.DEFINE_integer("processes", 0, "At once; 0: one a core.", 0)
    DATA_DIR = flags.DEFINE_string(
        "data_dir", "", "Where CIFAR-10 lies; empty: as configs have it."
    )
    WORK = cli.define_folder("work", "runs/claims", "Where runs and records lie.")
    cli.run(main)
