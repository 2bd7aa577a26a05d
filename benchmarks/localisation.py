"""Does Grad-CAM find the right half of a picture of two objects, and does it pass its sanity check?

    python -m benchmarks.localisation --data=DIR --out=benchmarks/results/localisation.json

ResNet-20, which slides over any size, learns some of CIFAR-10. Two test images of different classes
then stand side by side, and Grad-CAM is asked for the class of one of them, of each side in turn:
it is right where more than half of the map lies on that half. Counted twice: over images that the
net recognises alone, and over any. The sanity check (Adebayo et al. 2018) is of 32 test images, for
Grad-CAM and for guided backpropagation.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.harness.machine import machine
from cnn_jax import cli, data
from cnn_jax.analysis.explanations import grad_cam as cam
from cnn_jax.analysis.explanations.input_gradients import guided_backpropagation
from cnn_jax.analysis.explanations.sanity import check
from cnn_jax.data.dataset import Dataset
from cnn_jax.runtime.config_files import load_config
from cnn_jax.runtime.progress import track
from cnn_jax.training.experiment import Experiment, make_experiment

PICTURES, CHECKED = 100, 32

DATA = flags.DEFINE_string("data", "~/.cache/cnn_jax/data", "Folder with cifar10/.")
EXAMPLES = flags.DEFINE_integer("examples", 10_000, "Training images.")
EPOCHS = flags.DEFINE_float("epochs", 4.0, "Passes over them.")
OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")


def main(argv: Sequence[str]) -> None:
    del argv
    begun = time.monotonic()
    experiment, variables = train()
    model, normalise = experiment.step_spec.model, experiment.step_spec.normalise
    test = experiment.dataset.test.take(np.arange(1000))
    images = np.asarray(normalise(test.images.astype(np.float32)))
    recognised = experiment_predictions(experiment, variables, images) == test.labels
    stage = cam.choose_stage(cam.map_shapes(model, images.shape[1:]))
    result: dict[str, Any] = {
        "net": "resnet20_cifar",
        "training_images": EXAMPLES.value,
        "epochs": EPOCHS.value,
        "accuracy": float(recognised.mean()),
        "stage": stage,
        "right_of_recognised": count_right(model, variables, images, test.labels, recognised),
        "right_of_any": count_right(model, variables, images, test.labels, recognised | True),
        "pictures": PICTURES,
        "machine": machine(),
    }
    for name, method in (
        ("grad_cam", cam.compiled(cam.grad_cam, stage)),
        ("guided_backpropagation", cam.compiled(guided_backpropagation)),
    ):
        sanity = check(method, model, variables, images[:CHECKED], test.labels[:CHECKED])
        rows = [dataclasses.asdict(row) for row in sanity.rows]
        result[f"sanity_{name}"] = {"verdict": sanity.verdict, "rows": rows}
        print(f"{name}: {sanity.verdict}")
    print(
        f"accuracy {result['accuracy']:.1%}; the right half of {result['right_of_recognised']} of "
        f"{PICTURES} pictures of recognised objects, {result['right_of_any']} of any; "
        f"{time.monotonic() - begun:.0f} s"
    )
    if OUT.value:
        Path(OUT.value).write_text(json.dumps(result, indent=1) + "\n")


def train() -> tuple[Experiment, Any]:
    """ResNet-20 after a few epochs of some of CIFAR-10."""
    config = load_config("resnet20_cifar:cifar10")
    config.data.update({"dir": DATA.value, "validation": 0.0})
    config.update({"epochs": EPOCHS.value, "devices": 1, "seed": 0})
    config.schedule.update({"name": "cosine", "warmup_epochs": 0.0})
    whole = data.load(config.data)
    some = whole.train.take(np.arange(EXAMPLES.value))
    dataset: Dataset = dataclasses.replace(whole, train=some)
    experiment = make_experiment(config, dataset)
    with experiment.step_loop() as steps:
        for _ in track(steps, "training", experiment.clock.total_steps):
            pass
        return experiment, steps.carry.state.variables


def experiment_predictions(experiment: Experiment, variables: Any, images: np.ndarray) -> Any:
    """The likeliest class of each image."""
    from cnn_jax.analysis.explanations.forward import logits_of

    model = experiment.step_spec.model
    answer = cam.compiled(lambda model, variables, x, _: logits_of(model, variables, x))
    parts = [answer(model, variables, part, np.zeros(1)) for part in np.split(images, 4)]
    return np.concatenate(parts).argmax(1)


def count_right(
    model: Any, variables: Any, images: np.ndarray, labels: np.ndarray, allowed: np.ndarray
) -> int:
    """In how many pictures of two of the allowed images the map lies on the asked half."""
    rng = np.random.default_rng(0)
    pairs: list[np.ndarray] = []
    while len(pairs) < PICTURES:
        pair = rng.choice(np.flatnonzero(allowed), 2, replace=False)
        if labels[pair[0]] != labels[pair[1]]:
            pairs.append(pair)
    both = np.stack([np.concatenate([images[a], images[b]], axis=1) for a, b in pairs])
    side = np.arange(PICTURES) % 2  # the half that is asked for
    asked = labels[np.array(pairs)[np.arange(PICTURES), side]]
    stage = cam.choose_stage(cam.map_shapes(model, both.shape[1:]))
    maps = cam.compiled(cam.grad_cam, stage)(model, variables, both, asked)
    half = maps.shape[2] // 2
    left, right = maps[:, :, :half].sum((1, 2)), maps[:, :, half:].sum((1, 2))
    own, other = np.where(side, right, left), np.where(side, left, right)
    return int((own > other).sum())


if __name__ == "__main__":
    cli.run(main)
