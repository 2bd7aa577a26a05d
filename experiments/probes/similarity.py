"""Weights of similar and of different images for the same target."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from cnn_jax import data
from experiments.probes.halves import FEW, SHORT, STAGES, fit, of_classes, some_images, train

DIFFERENT = "mnist"


def sources(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Test accuracy on classes 5 to 9, fine-tuned from classes 0 to 4 of the same set, or of MNIST.

    Both sources train as `config` says, on as many classes; the target has 200 images.
    """
    del folder
    own = data.load(config.data)
    other_config = config.copy_and_resolve_references().unlock()
    other_config.data.name = DIFFERENT
    other = data.load(other_config.lock().data)
    target = some_images(of_classes(own, range(5, 10)), FEW, config.seed)
    figures = {"scratch": fit(config, target, {"epochs": float(SHORT)})}
    for name, dataset in (("similar", own), ("different", other)):
        _, source = train(config, of_classes(dataset, range(5)))
        figures[name] = fit(config, target, {"epochs": float(SHORT)}, source, len(STAGES))
    return figures | {
        "similar less different": figures["similar"] - figures["different"],
        "different less scratch": figures["different"] - figures["scratch"],
    }
