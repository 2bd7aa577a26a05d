"""How well the classes can be read off a trained net, stage by stage: accuracy by depth.

    python -m cnn_jax.tools.probe --workdir=RUN --stages=all --out=probe.png
    python -m cnn_jax.tools.probe --config=CONFIG --weights=DIR --stages=layer3,layer4

At every stage a linear classifier and a vote of nearest neighbours learn the classes of the
config's data from the mean of each map. Penalty and number of neighbours are chosen on the
validation split. The images are read once for all stages, and not again where their features are
in --cache.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.progress import track
from cnn_jax.runtime.report_pictures import plain_pyplot, save_picture
from cnn_jax.runtime.result_files import write_json

if TYPE_CHECKING:
    from cnn_jax.analysis.trained_net import TrainedNet
    from cnn_jax.transfer.probes import ProbeResult

CACHE = "~/.cache/cnn_jax/features"


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.trained_net import load_trained_net

    del argv
    net = load_trained_net(CONFIG.value, WORKDIR.value, WEIGHTS.value)
    rows = probe_stages(
        net, STAGES.value.split(","), Path(CACHE_DIR.value), neighbours=NEIGHBOURS.value
    )
    title = f"{net.experiment.config.model.name} ({net.initial_weights.weights.source})"
    title += f" on {net.experiment.config.data.name}"
    print(title + "\n" + format_probes(rows))
    if JSON.value:
        write_json(JSON.value, {"title": title, "rows": rows})
    if OUT.value:
        plot_probes(rows, title, Path(OUT.value))
        print(f"\nthe picture is {OUT.value}")


def probe_stages(
    net: TrainedNet, stages: Sequence[str], cache: Path, neighbours: bool = True
) -> list[dict[str, Any]]:
    """One row a stage: its size, and what each probe reaches."""
    from cnn_jax.analysis.trained_net import SPLITS, as_vectors
    from cnn_jax.transfer.probes import linear_probe, neighbour_probe

    dataset = net.experiment.dataset
    if dataset.task.kind != "classification":
        raise UserError(f"data.name={dataset.name!r}: probes tell classes apart; it has none")
    if not len(dataset.validation):
        raise UserError("data.validation=0 leaves nothing to choose the penalty by")
    points = net.resolve(stages)
    folders = [net.cached_features(cache, split, points) for split in SPLITS]
    rows = []
    for point in track(points, "probes"):
        train, validation, test = ((as_vectors(f.read(point)), f.labels) for f in folders)
        row: dict[str, Any] = {"stage": point, "features": train[0].shape[1]}
        row["linear"] = with_interval(linear_probe(train, validation, test), len(test[1]))
        if neighbours:
            result = neighbour_probe(train, validation, test)
            row["neighbours"] = with_interval(result, len(test[1]))
        rows.append(row)
    return rows


def with_interval(result: ProbeResult, examples: int) -> dict[str, Any]:
    """A row's figures, with the 95 % interval of the test accuracy."""
    from cnn_jax.training.metrics import wilson_interval

    return vars(result) | {"interval": wilson_interval(result.accuracy, examples)}


def format_probes(rows: list[dict[str, Any]]) -> str:
    """A table, from the image to the head."""
    width = max(5, *(len(row["stage"]) for row in rows))
    lines = [
        f"{'':{width}} {'':>8} | {'linear probe':^38} | {'nearest neighbours':^32}",
        f"{'stage':{width}} {'features':>8} | {'val':>6} {'test':>13} {'macro':>7} {'C':>9} | "
        f"{'val':>6} {'test':>13} {'macro':>7} {'k':>3}",
    ]
    for row in rows:
        line = f"{row['stage']:{width}} {row['features']:>8,} |"
        for kind, size in (("linear", 9), ("neighbours", 3)):
            if result := row.get(kind):
                low, high = result["interval"]
                line += f"{result['validation']:7.2%} {result['accuracy']:7.2%} "
                line += f"±{(high - low) / 2:4.1%} {result['macro']:7.2%}"
                line += f" {result['chosen']:>{size}g} |"
        lines.append(line.removesuffix(" |"))
    return "\n".join(lines)


def plot_probes(rows: list[dict[str, Any]], title: str, out: Path) -> None:
    """Test accuracy against depth with its 95 % interval, one line a probe."""
    import numpy as np

    plt = plain_pyplot()
    size = (max(5, 0.55 * len(rows) + 2), 3.6)
    figure, panel = plt.subplots(figsize=size, layout="constrained")
    for kind, label in (("linear", "linear probe"), ("neighbours", "nearest neighbours")):
        if kind in rows[0]:
            values = [100 * row[kind]["accuracy"] for row in rows]
            intervals = 100 * np.array([row[kind]["interval"] for row in rows])
            panel.plot(range(len(rows)), values, "o-", ms=4, label=label)
            panel.fill_between(range(len(rows)), *intervals.T, alpha=0.2, lw=0)
    names = [row["stage"] for row in rows]
    panel.set_xticks(range(len(rows)), names, rotation=40, ha="right", fontsize=8)
    panel.set_ylabel("test accuracy, %")
    panel.set_title(textwrap.fill(printable(title), int(14 * size[0])), fontsize=9)
    panel.grid(alpha=0.3)
    panel.legend(frameon=False, title="with 95 % intervals", title_fontsize=8)
    save_picture(figure, out)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    STAGES = flags.DEFINE_string("stages", "all", "Names, with commas between; or all.")
    NEIGHBOURS = flags.DEFINE_bool("neighbours", True, "Also the nearest-neighbour probe.")
    CACHE_DIR = flags.DEFINE_string("cache", CACHE, "Where features are kept.")
    OUT = cli.define_picture("out", None)
    JSON = cli.define_file("json", None, "File for the table as JSON.")
    cli.run(main)
