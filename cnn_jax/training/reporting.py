"""What is reported of a trained net: report.json and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import SplitName, Task
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.runtime import report_pictures, workdir
from cnn_jax.training import losses, metrics
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.train_state import TrainState


def write_report(
    experiment: Experiment, state: TrainState, split: SplitName, folder: Path
) -> dict[str, Any]:
    """The full report of `state` on `split`, also as report.json and pictures in `folder`."""
    dataset = experiment.dataset
    examples = experiment.evaluator(split, experiment.protocol)(state)
    result, worst = describe(
        experiment.config,
        dataset.task,
        examples,
        (split, str(experiment.protocol or SINGLE), experiment.config.data.name),
        lambda row: dataset.example_name(split, row),
    )
    if jax.process_index() == 0:
        workdir.write_json(folder / "report.json", result)
        images = [dataset.split(split).images[row] for row in worst]
        report_pictures.draw_top_losses(result, images, folder / "top_losses.png")
        if "confusion_matrix" in result:
            report_pictures.draw_confusion(result, folder / "confusion.png")
    return result


def describe(
    config: ConfigDict,
    task: Task,
    examples: dict[str, np.ndarray],
    names: tuple[str, str, str],
    name_of: Callable[[int], str],
) -> tuple[dict[str, Any], list[int]]:
    """(what report.json holds, the rows of its top losses).

    `names` are those of the split, the protocol and the dataset; `name_of` names a row's image.
    """
    worst = metrics.top_losses(task, examples, name_of)
    report = {
        **dict(zip(("split", "protocol", "dataset"), names, strict=True)),
        **metrics.report(task, examples),
        "smallest_loss": smallest_loss(config, task),
        "top_losses": [{k: v for k, v in row.items() if k != "row"} for row in worst],
    }
    return report, [row["row"] for row in worst]


def smallest_loss(config: ConfigDict, task: Task) -> float:
    """What the loss cannot fall below, because labels are smoothed."""
    outputs = config.model.num_classes or task.outputs
    return losses.smallest_loss(config.loss.name, config.loss.label_smoothing, outputs)
