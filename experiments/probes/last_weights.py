"""More of what the last weights of a run do; trained.py restores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.analysis.explanations import grad_cam, input_gradients, sanity
from cnn_jax.training import metrics
from cnn_jax.training.experiment import Experiment
from experiments.probes.trained import BATCH, logits_of, restore

SMALL_BATCH = 16
UNITS = ("c1", "c3", "c5", "f6")  # LeNet-5's, each with a non-linearity
EXPLAINED = 32  # images


def test_figures(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Those of the last weights, where the report is of the best ones on validation."""
    experiment, state = restore(config, folder)
    test = metrics.summarise(experiment.dataset.task, experiment.evaluator("test")(state))
    return {"last accuracy": 100 * test["accuracy"], "last loss": test["loss"]}


def small_batch_statistics(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Test accuracy with the population's statistics, and with those of each batch of 16."""
    experiment, state = restore(config, folder)
    test, spec = experiment.dataset.test, experiment.step_spec

    @jax.jit
    def answers(variables: Any, images: Any) -> jax.Array:
        output, _ = spec.apply(
            variables, spec.normalise(images), train=True, mutable=["batch_stats"]
        )
        return output.logits.argmax(-1)

    rows = range(0, len(test) - len(test) % SMALL_BATCH, SMALL_BATCH)
    own = [
        np.asarray(answers(state.variables, np.float32(test.images[row : row + SMALL_BATCH])))
        for row in rows
    ]
    labels = test.labels[: len(rows) * SMALL_BATCH]
    population = logits_of(experiment, state, test.images[: len(labels)]).argmax(-1)
    by_population = 100 * float(np.mean(population == labels))
    by_batch = 100 * float(np.mean(np.concatenate(own) == labels))
    return {
        "accuracy by the population": by_population,
        "accuracy by the batch": by_batch,
        "population less batch": by_population - by_batch,
    }


def dead_units(config: ConfigDict, folder: Path) -> dict[str, float]:
    """The share of LeNet-5's maps and units that no test image makes positive, per cent."""
    experiment, state = restore(config, folder)
    found = alive(experiment, state.variables, experiment.dataset.test.images)
    return {"dead units": 100 * float(1 - found.mean())}


def alive(experiment: Experiment, variables: Any, images: np.ndarray) -> np.ndarray:
    """bool, of LeNet-5's maps and units in their order: whether an image makes it positive."""
    spec = experiment.step_spec

    @jax.jit
    def of_batch(variables: Any, batch: Any) -> dict[str, jax.Array]:
        found = {}

        def intercept(call, args, kwargs, context):
            signal, name = call(*args, **kwargs), context.module.name or ""
            unit = name.removeprefix("norm_")
            if unit in UNITS:  # a norm comes after its layer, and takes its place
                found[unit] = (signal > 0).any(tuple(range(signal.ndim - 1)))
            return signal

        with nn.intercept_methods(intercept):
            spec.apply(variables, spec.normalise(batch), train=False)
        return found

    parts = [
        of_batch(variables, np.float32(images[start : start + BATCH]))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate([np.any([part[unit] for part in parts], axis=0) for unit in UNITS])


def sanity_checks(config: ConfigDict, folder: Path) -> dict[str, float]:
    """How alike explanations of a trained and of a random net are: rank correlation of maps.

    Grad-CAM is of the last maps of 3x3 and more, guided backpropagation of the image.
    """
    experiment, state = restore(config, folder)
    spec, test = experiment.step_spec, experiment.dataset.test
    images = np.asarray(spec.normalise(jax.numpy.float32(test.images[:EXPLAINED])))
    classes = logits_of(experiment, state, test.images[:EXPLAINED]).argmax(-1)
    shapes = grad_cam.map_shapes(spec.model, images.shape[1:])
    stage = grad_cam.choose_stage(shapes)
    methods = {
        "grad-cam": grad_cam.compiled(grad_cam.grad_cam, stage),
        "image gradient": grad_cam.compiled(input_gradients.image_gradient),
        "guided": grad_cam.compiled(input_gradients.guided_backpropagation),
    }
    figures = {}
    for name, method in methods.items():
        seed = config.seed + 1
        rows = sanity.check(method, spec.model, state.variables, images, classes, seed).rows
        figures[f"{name}, rank correlation"] = rows[-1].rank_correlation
        figures[f"{name}, SSIM"] = rows[-1].ssim
    figures["guided less grad-cam"] = (
        figures["guided, rank correlation"] - figures["grad-cam, rank correlation"]
    )
    return figures
