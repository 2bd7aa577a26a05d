"""Whether the rule of thumb of transfer learning names the way that is measured best."""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from cnn_jax.analysis import transfer_advice

SECONDS = 20 * 60.0
CACHE = Path("~/.cache/cnn_jax/features")
FEW = 10  # training images a class


def few_images(config: ConfigDict, folder: Path) -> dict[str, float]:
    return lead_of_rule(config, folder, FEW)


def all_images(config: ConfigDict, folder: Path) -> dict[str, float]:
    return lead_of_rule(config, folder, 0)


def lead_of_rule(config: ConfigDict, folder: Path, images: int) -> dict[str, float]:
    """Validation accuracy of the best way that the rule names, less that of the best other way.

    `config.init.from` names the weights; the way of every trial is kept with its figures.
    """
    config = config.copy_and_resolve_references().unlock()
    weights, config.init["from"] = config.init["from"], ""
    counts = transfer_advice.ImageCounts(images)
    advice = transfer_advice.advise(config.lock(), (None, weights), SECONDS, counts, CACHE)
    trials = {trial["way"]: 100 * trial["validation"] for trial in advice["tried"]}
    named = [value for way, value in trials.items() if way in advice["rule"]]
    others = [value for way, value in trials.items() if way not in advice["rule"]]
    return {"lead of the rule": max(named) - max(others), **trials}
