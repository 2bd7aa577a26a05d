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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli, models
from cnn_jax.analysis.stages import summarize
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.progress import track
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


@functools.cache
def sizes(net: str) -> tuple[int, int]:
    """(multiply-adds of one image, parameters)"""
    summary = summarize(models.create(net, num_classes=10), (SIDE, SIDE, CHANNELS))
    return summary.multiply_adds, summary.inference_parameters


def kept_runs(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Of each net in the file its runs, seeds 0 on.

    Raises `UserError` where the file holds no such runs, or those of another recipe.
    """
    if not path.exists():
        return {}
    away = "move it away to measure all anew"
    try:
        kept = json.loads(path.read_text())
        runs_of = {row["net"]: row["runs"] for row in kept["nets"]}
        recipe = kept["recipe"]
        table([row(net, runs) for net, runs in runs_of.items()])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path} holds no runs of this program: {away}") from error
    if recipe != RECIPE_IN_WORDS:
        raise UserError(f"{path} is of another recipe, {recipe!r}: {away}")
    return runs_of


def with_new_runs(
    net: str, runs: list[dict[str, Any]], seeds: int, cache: Cache, machine: str
) -> list[dict[str, Any]]:
    """The runs, and behind them those of the next seeds that are done here."""
    found = list(runs)
    while len(found) < seeds and (record := cache.find(job(net, len(found)))):
        accuracy, seconds = TEST_ACCURACY(record), round(record["seconds"], 1)
        found.append({"accuracy": accuracy, "seconds": seconds, "machine": machine})
    return found


def row(net: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    operations, parameters = sizes(net)
    return {"net": net, "multiply_adds": operations, "parameters": parameters, "runs": runs}


def mean_and_deviation(row: dict[str, Any]) -> tuple[float, float]:
    """Of the accuracies; the deviation of one is NaN."""
    values = [run["accuracy"] for run in row["runs"]]
    return statistics.fmean(values), statistics.stdev(values) if values[1:] else math.nan


def table(rows: Sequence[dict[str, Any]]) -> str:
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
    measured_on: dict[str, dict[str, None]] = {}
    for row in rows:
        mean, deviation = mean_and_deviation(row)
        seconds = statistics.fmean(run["seconds"] for run in row["runs"])
        lines.append(
            f"| `{row['net']}` | {row['multiply_adds'] / 1e6:.3g} | {row['parameters'] / 1e6:.3g} "
            f"| {mean:.2f} | {'-' if math.isnan(deviation) else f'{deviation:.2f}'} "
            f"| {len(row['runs'])} | {seconds:.0f} |"
        )
        for run in row["runs"]:
            measured_on.setdefault(run["machine"], {})[row["net"]] = None
    several = len(measured_on) > 1
    machines = [f"- {', '.join(nets)}: {on}" if several else on for on, nets in measured_on.items()]
    return "\n".join([*lines, "", *machines, "", "`python -m experiments.zoo`"]) + "\n"


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
        mean, deviation = mean_and_deviation(row)
        at, area = (row["multiply_adds"], mean), 20 * row["parameters"] / 1e6
        axes.scatter(*at, s=area, color="tab:blue", alpha=0.3)
        axes.errorbar(*at, yerr=deviation, fmt=".", color="tab:blue", capsize=2)
        labels.append(Label(row["net"], at, math.sqrt(area) / 2, "#1f3d5c"))
    axes.set_xlabel("multiply-adds for one image")
    axes.set_ylabel("test accuracy, %, with its deviation; area: parameters")
    axes.set_title(RECIPE_IN_WORDS, fontsize=8, wrap=True)
    axes.grid(color="#e6e6e6", zorder=0)
    place(axes, labels)
    write_picture(figure, path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def write(runs_of: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """JSON, page and chart of the nets that have runs, by operations."""
    rows = [row(net, runs) for net, runs in runs_of.items() if runs]
    rows.sort(key=lambda row: row["multiply_adds"])
    draw(rows, folder / "zoo.png")
    write_result("the page", folder / "zoo.md", table(rows))
    text = json.dumps({"recipe": RECIPE_IN_WORDS, "nets": rows}, indent=1)
    write_result("the figures", folder / "zoo.json", text + "\n")


def main(argv: Sequence[str]) -> int:
    from benchmarks.harness.machine import in_words, machine
    from experiments.run import ending

    del argv
    nets, seeds = [*dict.fromkeys(NETS_FLAG.value or NETS)], SEEDS.value
    for net in nets:
        if net not in NETS:
            raise unknown("nets", net, NETS)
    nets.sort(key=dict(zip(nets, map(sizes, track(nets, "sizes")), strict=True)).get)
    cache, until = Cache(Path(WORK.value)), time.monotonic() + 60 * BUDGET.value
    runs_of, here = kept_runs(FOLDER / "zoo.json"), in_words(machine())

    def take_in() -> None:
        for net in nets:
            runs_of[net] = with_new_runs(net, runs_of.get(net, []), seeds, cache, here)
        write(runs_of, FOLDER)

    if not DRY_RUN.value:
        take_in()
    asked = [(net, seed) for seed in range(seeds) for net in nets]
    missing = [job(net, seed) for net, seed in asked if seed >= len(runs_of.get(net, []))]
    if DRY_RUN.value:
        for each in missing:
            print(each.command(cache.place(each) / "workdir", DATA_DIR.value))
        return 0
    print(f"{len(missing)} runs to do", flush=True)
    for each, record in perform_all(missing, cache, DATA_DIR.value, cores(PROCESSES.value), until):
        print(f"{each.changes['model.name']}, seed {each.changes['seed']}: {ending(record)}")
        take_in()
    done = sum(len(runs_of[net]) >= seeds for net in nets)
    print(f"{done} of {len(nets)} nets are done")
    return 0 if done == len(nets) else 1


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
