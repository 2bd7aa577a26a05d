"""Several nets that differ in their seed alone, and what they are worth together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.train import train_and_evaluate
from cnn_jax.training.calibration import softmax
from experiments.probes.trained import logits_of, restore

MEMBERS = 3
APART = 10_000  # between the seeds of members; the split of the data is the same


def ensemble(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Test accuracy of the mean of the nets' probabilities, and of the nets alone."""
    shares, alone = [], []
    for member in range(MEMBERS):
        own = config.copy_and_resolve_references().unlock()
        own.seed = config.seed + member * APART
        own, place = own.lock(), folder / str(member)
        train_and_evaluate(own, str(place))
        experiment, state = restore(own, place)
        test = experiment.dataset.test
        shares.append(softmax(logits_of(experiment, state, test.images)))
        alone.append(100 * float(np.mean(shares[-1].argmax(-1) == test.labels)))
    together = 100 * float(np.mean(np.mean(shares, axis=0).argmax(-1) == test.labels))
    return {
        "together": together,
        "mean alone": float(np.mean(alone)),
        "best alone": max(alone),
        "gain over the mean": together - float(np.mean(alone)),
        "gain over the best": together - max(alone),
    }
