"""What a trained net does with images, measured on the last weights of its run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Split
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.training import metrics
from cnn_jax.training.calibration import calibration as expected_calibration
from cnn_jax.training.calibration import fit_temperature
from cnn_jax.training.experiment import Experiment, make_experiment
from cnn_jax.training.train_step import TrainCarry

BATCH = 500
SHIFTED = 2000  # test images that are shifted


def restore(config: ConfigDict, folder: Path) -> tuple[Experiment, Any]:
    """The run and its last state."""
    experiment = make_experiment(config, is_new_run=False, folder=folder)
    checkpoints = Checkpoints(folder, config.checkpoint.keep)
    step = checkpoints.latest_valid()
    assert step is not None
    saved = checkpoints.restore(step, experiment.compiled.abstract.as_saved()).tree
    return experiment, TrainCarry.from_saved(saved).state


def on_train(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The training split in evaluation mode, without dropout and augmentation; and the gaps."""
    experiment, state = restore(config, folder)
    train, test = (
        metrics.summarise(experiment.dataset.task, experiment.evaluator(split)(state))
        for split in ("train", "test")
    )
    return {
        "train loss": train["loss"],
        "train accuracy": 100 * train["accuracy"],
        "loss gap": test["loss"] - train["loss"],
        "accuracy gap": 100 * (train["accuracy"] - test["accuracy"]),
    }


def logits_of(experiment: Experiment, state: Any, images: np.ndarray) -> np.ndarray:
    """float32 [N, K] of uint8 images [N, H, W, C]."""
    spec = experiment.step_spec

    @jax.jit
    def forward(variables: Any, batch: jax.Array) -> jax.Array:
        return spec.apply(variables, spec.normalise(batch), train=False).logits

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH].astype(np.float32)
            short = BATCH - len(batch)
            batch = np.pad(batch, [(0, short), (0, 0), (0, 0), (0, 0)])
            yield np.asarray(forward(state.variables, batch))[: BATCH - short]

    return np.concatenate(list(parts()))


def shifts(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The share of test predictions that change when the image moves to the right, per cent."""
    experiment, state = restore(config, folder)
    images = experiment.dataset.test.images[:SHIFTED]
    before = logits_of(experiment, state, images).argmax(-1)
    changed = {}
    for pixels in (1, 2, 4):
        moved = np.zeros_like(images)
        moved[:, :, pixels:] = images[:, :, :-pixels]
        after = logits_of(experiment, state, moved).argmax(-1)
        changed[f"changed by {pixels} px"] = 100 * float(np.mean(before != after))
    return changed


def calibration(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The expected calibration error on test, per cent, before and after one temperature.

    The temperature makes the loss on the validation split least (Guo et al. 2017, sec. 4.2).
    """
    experiment, state = restore(config, folder)

    def outputs(split: Split) -> tuple[np.ndarray, np.ndarray]:
        return logits_of(experiment, state, split.images), split.labels

    logits, labels = outputs(experiment.dataset.validation)
    best = fit_temperature(logits, labels)
    logits, labels = outputs(experiment.dataset.test)
    found = expected_calibration(logits, labels)
    plain, scaled = found["ece"], expected_calibration(logits, labels, best)["ece"]
    return {
        "calibration error": 100 * plain,
        "calibration error, scaled": 100 * scaled,
        "calibration error, scaled over plain": scaled / plain,
        "temperature": best,
        "log loss": found["nll"],
    }
