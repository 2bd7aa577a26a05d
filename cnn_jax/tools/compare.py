"""What several runs came to: mean and deviation over seeds and folds, a row a config.

    cnn_jax compare runs/relu-0 runs/relu-1 runs/tanh-0 runs/tanh-1
    cnn_jax compare runs/*

Runs that differ in nothing but `seed`, `data.split_seed` and `data.fold` are one row, called after
the keys in which the rows differ. A row of several runs has the mean of their reports, their
deviation, and of three or more the 95 % interval of the mean by Student's t; a single run the
interval that its number of images leaves; all folds of a cross-validation count as one look at
every image.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.report_file import read_report, unreadable
from cnn_jax.runtime.result_files import write_json

REPEATED = ("seed", "data.split_seed", "data.fold")  # keys in which runs of one row may differ
MOST_RUNS = 10_000
LEAST_VALUES = 3  # of an interval
NO_INTERVAL = "(no interval of the mean)"
ONE_EACH = "(one run a row: how much seeds differ is not known, cnn_jax sweep --seeds=5 says)"


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run: its config, dotted keys to values, and its report."""

    folder: str
    config: dict[str, Any]
    report: dict[str, Any]

    def identity(self) -> dict[str, Any]:
        """What it shares with the other runs of its row."""
        from cnn_jax.runtime.workdir import FREE_KEYS

        kept = {k: v for k, v in self.config.items() if k not in (*REPEATED, *FREE_KEYS)}
        kept = {k: v for k, v in kept.items() if v is not None}  # as good as absent
        return kept | {"split": self.report["split"], "protocol": self.report["protocol"]}


def main(argv: Sequence[str]) -> None:
    runs = [read_run(Path(word)) for word in argv[1:]]
    if not runs:
        raise UserError("name the workdirs of finished runs, like cnn_jax compare runs/a runs/b")
    rows = group(runs)
    print(table(rows))
    if JSON.value:
        write_json(JSON.value, rows)


def read_run(folder: Path) -> Run:
    """The run in a workdir; raises `UserError` where none is finished."""
    from cnn_jax.runtime import workdir

    try:
        report = read_report(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(
            f"{str(folder)!r} holds no report.json: it is written where a run ends, or by "
            f"cnn_jax evaluate --workdir={folder}"
        ) from error
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from error
    return Run(str(folder), workdir.read_config(folder), report)


def group(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One row for the runs of each config, in the order in which they are named."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(run.identity(), sort_keys=True), []).append(run)
    identities = [members[0].identity() for members in groups.values()]
    keys = sorted({key for identity in identities for key in identity})
    differ = [k for k in keys if len({json.dumps(i.get(k)) for i in identities}) > 1]
    rows = []
    for identity, members in zip(identities, groups.values(), strict=True):
        check_repeats(members)
        name = ", ".join(f"{k}={identity.get(k)}" for k in differ)
        config = members[0].config
        name = name or f"{config.get('name')} on {config.get('data.name')}"
        rows.append({"row": name, **figures(members)})
    return rows


def check_repeats(runs: Sequence[Run]) -> None:
    """Raises `UserError` where two runs are the same one: a mean of them would deceive."""
    seen: dict[tuple, str] = {}
    for run in runs:
        key = tuple(run.config.get(name) for name in REPEATED)
        if key in seen:
            values = ", ".join(
                f"{k}={v}" for k, v in zip(REPEATED, key, strict=True) if v is not None
            )
            raise UserError(f"{seen[key]} and {run.folder} are one run twice ({values}): leave one")
        seen[key] = run.folder


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean and deviation of what the reports hold; the interval where images are seen once."""
    from cnn_jax.training.metrics import wilson_interval

    reports = [run.report for run in runs]
    out: dict[str, Any] = {"runs": len(runs), "split": reports[0]["split"]}
    for name in ("accuracy", "loss", "mean_absolute_error"):
        if name not in reports[0]:
            continue
        values = [report[name] for report in reports]
        out[name] = statistics.fmean(values)
        out[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
        most = 1.0 if name == "accuracy" else math.inf
        out[f"{name}_mean_interval"] = mean_interval(values, most)
    folds = sorted(run.config.get("data.fold") or 0 for run in runs)
    whole = folds == list(range(runs[0].config.get("data.folds") or 1))
    if whole and "accuracy" in reports[0]:
        count = sum(report["examples"] for report in reports)
        right = sum(report["accuracy"] * report["examples"] for report in reports)
        out["accuracy"] = right / count
        out["examples"], out["accuracy_interval"] = count, wilson_interval(right / count, count)
    return out


def mean_interval(values: Sequence[float], most: float) -> tuple[float, float] | None:
    """In which the mean over all seeds lies, with 95 %, by Student's t, cut to 0 to `most`.

    None of fewer than `LEAST_VALUES`, of which two that are near by chance would seem certain, and
    of values that are all alike: how much seeds differ is then not known.
    """
    from scipy import stats

    if len(values) < LEAST_VALUES or len({*values}) == 1:
        return None
    mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return max(mean - half, 0.0), min(mean + half, most)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """A line a row: deviation over the runs, and the interval of the mean or over the images."""
    width = max(len(printable(row["row"])) for row in rows)
    lines = []
    for row in rows:
        cells = [f"{printable(row['row']):{width}}  {row['runs']:>2} run(s), {row['split']}:"]
        for name in ("accuracy", "loss", "mean_absolute_error"):
            if name not in row:
                continue
            text = f"{name.replace('_', ' ')} {row[name]:.4f}"
            if row[f"{name}_deviation"] is not None:
                text += (
                    f" ± {row[f'{name}_deviation']:.4f} {mean_text(row[f'{name}_mean_interval'])}"
                )
            if name == "accuracy" and "accuracy_interval" in row:
                low, high = row["accuracy_interval"]
                text += f" ({low:.4f} to {high:.4f} by {row['examples']:,} images)"
            cells.append(text)
        lines.append(" ".join([cells[0], ", ".join(cells[1:])]))
    if len(rows) > 1 and all(row["runs"] == 1 for row in rows):
        lines.append(ONE_EACH)
    if any(NO_INTERVAL in line for line in lines):
        lines.append(f"{NO_INTERVAL[1:-1]}: it takes {LEAST_VALUES} runs or more, not all alike")
    lines.append("(±: deviation over the runs; to: 95 % interval, of the mean or over the images)")
    return "\n".join(lines)


def mean_text(interval: tuple[float, float] | None) -> str:
    return NO_INTERVAL if interval is None else f"(mean {interval[0]:.4f} to {interval[1]:.4f})"


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    JSON = cli.define_file("json", None, "File for the rows as JSON.")
    cli.run(main, operands=MOST_RUNS)
