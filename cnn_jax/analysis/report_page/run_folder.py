"""What a run has left in its folder, read for the page; what is missing is empty."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.runtime.flow_log import read_flow
from cnn_jax.runtime.json_shape import check_shape
from cnn_jax.runtime.regular_files import read_json_object, read_regular
from cnn_jax.runtime.report_file import read_report, unreadable
from cnn_jax.runtime.report_pictures import is_row

WALL_TIME = 0x09  # the first byte of an event: field 1, eight bytes


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """One run. `rows` are those of evaluations, `steps` those between them."""

    folder: Path
    name: str
    config: dict[str, Any]  # by dotted key
    rows: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    report: dict[str, Any]
    environment: dict[str, Any]
    flow: list[dict[str, Any]]
    sessions: list[float]  # seconds of each, in the order of their starts

    @classmethod
    def read(cls, path: str) -> RunFolder:
        """Raises `UserError` where the folder holds no run."""
        folder = Path(path).expanduser()
        if not (folder / "config.json").exists():
            raise UserError(f"workdir={path!r} holds no run: train first, or name another")
        try:
            config = read_json_object(folder / "config.json", "model.name", "data.name")
            check_shape(config, {"model.name": str, "data.name": str})
        except (OSError, ValueError) as error:
            raise UserError(f"{folder / 'config.json'} cannot be read ({error})") from error
        rows = read_rows(folder / "metrics.jsonl")
        return cls(
            folder=folder,
            name=folder.resolve().name,
            config=config,
            rows=[row for row in rows if is_evaluation(row)],
            steps=[row for row in rows if not is_evaluation(row)],
            report=read_report_of(folder),
            environment=read_environment(folder),
            flow=read_flow(folder),
            sessions=session_seconds(folder / "tensorboard"),
        )

    @property
    def title(self) -> str:
        return f"{self.config['model.name']} on {self.config['data.name']}"

    @property
    def watched(self) -> str:
        """The split of the evaluations while training."""
        keys = self.rows[-1] if self.rows else {}
        others = [key.split("/")[0] for key in keys if "/" in key]
        return next((part for part in others if part != "train"), "validation")

    def column(self, key: str) -> list[float | None]:
        return [row.get(key) for row in self.rows]

    @property
    def epochs(self) -> list[float]:
        return [row["epoch"] for row in self.rows]

    @property
    def reported_epoch(self) -> float | None:
        """That of the evaluation whose weights the report is of."""
        step = self.report.get("step")
        return next((row["epoch"] for row in self.rows if row["step"] == step), None)

    def picture(self, name: str) -> bytes | None:
        """A PNG of the run's."""
        try:
            return read_regular(self.folder / name)
        except OSError:
            return None


def is_evaluation(row: dict[str, Any]) -> bool:
    return any(key.startswith("train/") for key in row)


def read_report_of(folder: Path) -> dict[str, Any]:
    """The report; nothing where there is none. Raises `UserError` for a damaged one."""
    try:
        return read_report(folder)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise unreadable(folder, error) from error


def read_environment(folder: Path) -> dict[str, Any]:
    """As `read_report_of`."""
    path = folder / "environment.json"
    try:
        found = read_json_object(path)
        check_shape(found, {"command?": [object], "devices?": [object], "versions?": {str: object}})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): remove it") from error
    return found


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, up to one that was cut off."""
    rows = []
    try:
        content = read_regular(path).decode(errors="replace")
    except OSError:
        return []
    for line in content.splitlines():
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return [row for row in rows if is_row(row)]


def session_seconds(folder: Path) -> list[float]:
    """How long each start of the run wrote events, from its first to its last one."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if times := wall_times(path):
            found.append((min(times), max(times) - min(times)))
    return [seconds for _, seconds in sorted(found)]


def wall_times(path: Path) -> list[float]:
    """The times of TensorBoard's events, up to one that was cut off.

    A record is its length, a checksum, an event and another checksum; an event begins with its
    time, a field of eight bytes.
    """
    try:
        content = read_regular(path)
    except OSError:
        return []
    times, at = [], 0
    while at + 12 + 9 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        if content[at + 12] == WALL_TIME:
            times.append(struct.unpack_from("<d", content, at + 13)[0])
        at += 12 + length + 4
    return times


@dataclasses.dataclass(frozen=True)
class Weights:
    """Of the best checkpoint; a net without convolutions has no kernels."""

    kernels: np.ndarray | None  # of the first convolution: [h, w, channels, filters]
    parameters: int


def read_weights(run: RunFolder) -> Weights | None:
    """None where the run has no whole checkpoint, or one of an earlier version."""
    from cnn_jax.analysis.stages import summarize
    from cnn_jax.runtime.config_files import config_of_run
    from cnn_jax.training import open_values
    from cnn_jax.training.net import make_model
    from cnn_jax.training.task_file import read_task
    from cnn_jax.transfer.initial_weights import read_trained_weights

    try:
        flat = read_trained_weights(str(run.folder), "workdir").flat
        config = config_of_run(run.folder)
        open_values.complete(config, run.folder)
        task, image_shape = read_task(run.folder)
        layers = summarize(make_model(config, task.outputs), image_shape).layers
    except UserError:
        return None
    count = sum(value.size for name, value in flat.items() if name.startswith("params/"))
    for layer in layers:
        kernel = flat.get(f"params/{layer.path}/kernel")
        if kernel is not None and kernel.ndim == 4:
            return Weights(np.asarray(kernel, np.float32), count)
    return Weights(None, count)
