"""What is reported of a trained net: report.json and its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from cnn_jax.data.dataset import SplitName
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.runtime import report_pictures, workdir
from cnn_jax.training import losses, metrics
from cnn_jax.training.experiment import Experiment
from cnn_jax.training.train_state import TrainState


def write_report(
    experiment: Experiment, state: TrainState, split: SplitName, folder: Path
) -> dict[str, Any]:
    """The full report of `state` on `split`, also as report.json and pictures in `folder`."""
    config, dataset = experiment.config, experiment.dataset
    examples = experiment.evaluator(split, experiment.protocol)(state)
    worst = metrics.top_losses(dataset.task, examples, lambda row: dataset.example_name(split, row))
    result = {
        "split": split,
        "protocol": str(experiment.protocol or SINGLE),
        "dataset": config.data.name,
        **metrics.report(dataset.task, examples),
        "smallest_loss": smallest_loss(experiment),
        "top_losses": [{k: v for k, v in row.items() if k != "row"} for row in worst],
    }
    if jax.process_index() == 0:
        workdir.write_json(folder / "report.json", result)
        images = [dataset.split(split).images[row["row"]] for row in worst]
        report_pictures.draw_top_losses(result, images, folder / "top_losses.png")
        if "confusion_matrix" in result:
            report_pictures.draw_confusion(result, folder / "confusion.png")
    return result


def smallest_loss(experiment: Experiment) -> float:
    """What the loss cannot fall below, because labels are smoothed."""
    config = experiment.config
    outputs = config.model.num_classes or experiment.dataset.task.outputs
    return losses.smallest_loss(config.loss.name, config.loss.label_smoothing, outputs)
