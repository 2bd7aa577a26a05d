"""What must not change a net's outputs."""

from __future__ import annotations

from pathlib import Path

import flax.traverse_util
import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.models.variables import fresh_variables
from cnn_jax.training.experiment import make_experiment

FACTOR = 3.0
IMAGES = 64


def weight_scale(config: ConfigDict, folder: Path) -> dict[str, float]:
    """How far logits move when every kernel but the head's is three times as large, per cent.

    The root mean square of the change over that of the logits, by the statistics of the batch, at
    the initial weights.
    """
    del folder
    experiment = make_experiment(config)
    spec, train = experiment.step_spec, experiment.dataset.train
    images = spec.normalise(jax.numpy.float32(train.images[:IMAGES]))
    variables = fresh_variables(spec.model, config.seed, train.image_shape)
    flat = flax.traverse_util.flatten_dict(variables["params"], sep="/")
    larger = {
        path: value * FACTOR if path.endswith("/kernel") and path != "output/kernel" else value
        for path, value in flat.items()
    }
    scaled = variables | {"params": flax.traverse_util.unflatten_dict(larger, sep="/")}
    before, after = (
        np.asarray(spec.apply(v, images, train=True, mutable=["batch_stats"])[0].logits)
        for v in (variables, scaled)
    )
    change = np.sqrt(np.mean((after - before) ** 2) / np.mean(before**2))
    return {"change of the logits": 100 * float(change)}
