"""What is reported of a trained net: report.json and its pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Split, SplitName, Task
from cnn_jax.data.images.eval_protocols import SINGLE, EvalProtocol
from cnn_jax.runtime import report, report_pictures, statistics_file, workdir
from cnn_jax.runtime.calibration_picture import draw_calibration
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.training import calibration, losses, metrics
from cnn_jax.training.eval_step import OUTPUTS
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.population_statistics import images_taken, population_statistics, replaced
from cnn_jax.training.train_state import TrainState

FEW_EXAMPLES = 10_000  # below which an accuracy is shown with half its 95 % interval
MOST_OUTPUTS = 2**28  # numbers, 1 GB, that are kept of a split


def opening_lines(experiment: Experiment, start: list[str]) -> list[str]:
    """What trains on what, `start` (from where), by what it is judged, and what is doubtful."""
    config, dataset = experiment.config, experiment.dataset
    params = experiment.compiled.abstract.state.variables["params"]
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    lines = [
        f"{config.model.name} ({parameters:,} parameters) on "
        f"{config.data.name} ({len(dataset.train):,} training examples), "
        f"{experiment.clock.total_steps:,} steps of {config.batch_size} on "
        f"{experiment.devices.count} {jax.default_backend()} device(s)"
    ]
    if dataset.layout:
        lines.append(f"{config.data.name}: {dataset.layout}")
    lines += start
    protocol = experiment.protocol or SINGLE
    lines.append(
        f"{experiment.monitor} figures are by {SINGLE}, the report on {dataset.reported} by "
        f"{protocol}"
    )
    if smallest := smallest_loss(config, dataset.task):
        lines.append(report.smoothing_text(smallest))
    return [*lines, *experiment.plan_lines(), *(f"warning: {w}" for w in experiment.warnings)]


def write_report(
    experiment: Experiment,
    state: TrainState,
    split: SplitName,
    folder: Path,
    trained_on: Split | None = None,
) -> dict[str, Any]:
    """The full report of `state` on `split`, also as report.json and pictures in `folder`.

    `folder` is that of `report_folder`; `trained_on` the images of training, where the dataset is
    another.
    """
    dataset = experiment.dataset
    statistics = {}
    if count := statistics_images(experiment):
        statistics = population_statistics(
            state,
            experiment.step_spec,
            trained_on or dataset.train,
            experiment.devices,
            count,
            experiment.config.batch_size,
            experiment.read_options,
        )
        state = replaced(state, statistics)
    examples, scaled_on = evaluated(experiment, state, split)
    result, worst = describe(
        experiment.config,
        dataset.task,
        examples,
        (split, str(experiment.protocol or SINGLE), experiment.config.data.name),
        lambda row: dataset.example_name(split, row),
        scaled_on,
    )
    if count:
        result["population_statistics"] = count
    result["step"] = int(state.step)
    result["data_sha256"] = dataset.identity["splits"][split]["sha256"]
    if jax.process_index() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        if statistics:
            statistics_file.save(folder, result["step"], statistics)
        workdir.write_json(folder / "report.json", result)
        images = [dataset.split(split).images[row] for row in worst]
        report_pictures.draw_top_losses(result, images, folder / "top_losses.png")
        if "confusion_matrix" in result:
            report_pictures.draw_confusion(result, folder / "confusion.png")
        if "calibration" in result:
            draw_calibration(result, folder / "calibration.png")
    return result


def evaluated(
    experiment: Experiment, state: TrainState, split: SplitName
) -> tuple[dict[str, np.ndarray], tuple[str, dict[str, np.ndarray]] | None]:
    """(the examples of `split`, those that a temperature is fitted on: validation, by name)."""

    def examples_of(name: SplitName) -> dict[str, np.ndarray]:
        keep = fits_in_memory(experiment, name)
        return experiment.evaluator(name, experiment.protocol)(state, keep_outputs=keep)

    examples = examples_of(split)
    is_scaled = experiment.dataset.task.kind == "classification" and OUTPUTS in examples
    if not is_scaled or not len(experiment.dataset.validation):
        return examples, None
    held_out = examples if split == "validation" else examples_of("validation")
    return examples, ("validation", held_out)


def describe(
    config: ConfigDict,
    task: Task,
    examples: dict[str, np.ndarray],
    names: tuple[str, str, str],
    name_of: Callable[[int], str],
    scaled_on: tuple[str, dict[str, np.ndarray]] | None = None,
) -> tuple[dict[str, Any], list[int]]:
    """(what report.json holds, the rows of its top losses).

    `names` are those of the split, the protocol and the dataset; `name_of` names a row's image.
    `scaled_on` has the split, by name, that a temperature is fitted on.
    """
    worst = metrics.top_losses(task, examples, name_of)
    report = {
        **dict(zip(("split", "protocol", "dataset"), names, strict=True)),
        **metrics.report(task, examples),
        "smallest_loss": smallest_loss(config, task),
        **calibration_of(task, examples, scaled_on),
        "top_losses": [{k: v for k, v in row.items() if k != "row"} for row in worst],
    }
    return report, [row["row"] for row in worst]


def fits_in_memory(experiment: Experiment, split: SplitName) -> bool:
    """Whether the net's outputs of all examples of a split are kept for its calibration."""
    outputs = experiment.config.model.num_classes or experiment.dataset.task.outputs
    return len(experiment.dataset.split(split)) * outputs <= MOST_OUTPUTS


def calibration_of(
    task: Task,
    examples: dict[str, np.ndarray],
    scaled_on: tuple[str, dict[str, np.ndarray]] | None,
) -> dict[str, Any]:
    """{"calibration": its figures, and those by a fitted temperature}; {} where there are none."""
    outputs = examples.get(OUTPUTS)
    if task.kind != "classification" or outputs is None or not np.isfinite(outputs).all():
        return {}
    found = calibration.calibration(outputs, examples["label"])
    if scaled_on and np.isfinite(scaled_on[1].get(OUTPUTS, np.nan)).all():
        name, held_out = scaled_on
        temperature = calibration.fit_temperature(held_out[OUTPUTS], held_out["label"])
        scaled = calibration.calibration(outputs, examples["label"], temperature)
        found["scaled"] = {"temperature": temperature, "fitted_on": name, **scaled}
    return {"calibration": found}


def smallest_loss(config: ConfigDict, task: Task) -> float:
    """What the loss cannot fall below, because labels are smoothed."""
    outputs = config.model.num_classes or task.outputs
    return losses.smallest_loss(config.loss.name, config.loss.label_smoothing, outputs)


def statistics_images(experiment: Experiment, asked: int | None = None) -> int:
    """The images that BatchNorm's statistics of the report are over, 0: those of training."""
    own = experiment.config.get("population_statistics")  # which earlier versions do not have
    count = (own or 0) if asked is None else asked
    return images_taken(count, len(experiment.dataset.train), experiment.config.batch_size)


def report_folder(
    experiment: Experiment, folder: Path, is_own_data: bool = True, step: int | None = None
) -> Path:
    """Where the report of (data, split, protocol, statistics, step) lies: no other overwrites it.

    That of a run's own data by the protocol of its config is in the workdir itself, any other one,
    and that of a `step` which was asked for, in a folder below `reports`.
    """
    dataset, protocol = experiment.dataset, str(experiment.protocol or SINGLE)
    split, count = dataset.reported, statistics_images(experiment)
    words = [split, protocol, *([f"statistics_{count}"] if count else [])]
    words += [f"step_{step}"] if step is not None else []
    if not is_own_data:
        last = re.split("[:/]", experiment.config.data.name.rstrip("/"))[-1]
        words = [last, dataset.identity["splits"][split]["sha256"][:8], *words]
    elif step is None and (written_report(folder) or run_report(experiment, folder)) == (
        split,
        protocol,
        count,
    ):
        return folder
    return folder / "reports" / "-".join(re.sub(r"\W+", "_", word).strip("_") for word in words)


def written_report(folder: Path) -> tuple[str, str, int] | None:
    """(split, protocol, statistics) of a workdir's report.json; None where it has none to read."""
    try:
        report = read_json_object(folder / "report.json", "split", "protocol")
        return report["split"], report["protocol"], report.get("population_statistics", 0)
    except (OSError, ValueError, TypeError):
        return None


def run_report(experiment: Experiment, folder: Path) -> tuple[str, str, int]:
    """(split, protocol, statistics) of the report that training ends with."""
    dataset, size = experiment.dataset, experiment.config.data.image_size
    try:
        own = read_json_object(folder / workdir.CONFIG, "protocol")
        protocol = EvalProtocol.parse(own["protocol"], size, dataset.train.image_shape[-1])
        count = statistics_images(experiment, own.get("population_statistics", 0))
    except (OSError, ValueError, TypeError):
        protocol, count = experiment.protocol, statistics_images(experiment)
    return dataset.reported, str(protocol or SINGLE), count


def evaluation_line(row: dict[str, Any], monitor: SplitName, count: int) -> str:
    """A row of metrics.jsonl for people: training beside the watched split of `count` examples."""
    parts = [f"epoch {row['epoch']:5.2f}"]
    figures: dict[str, Any] = {}
    for part in ("train", monitor):
        figures = {k.split("/")[1]: v for k, v in row.items() if k.startswith(f"{part}/")}
        parts.append(f"{part.replace('idation', '')} {report.brief(figures)}")
    if "accuracy" in figures and count < FEW_EXAMPLES:
        parts[-1] += f" ±{metrics.half_width(figures['accuracy'], count):.3f}"
    return " | ".join(parts)
