"""Claim: the way that the rule of thumb of transfer learning names is measured best, or as good.

    python -m experiments.advice --weights=RUN --similar=cifar10 --different=folder:PATH

The adviser on two datasets, one like the weights' own and one unlike it, with ten images a class
and with all, or with as many as --most says. Written to --out: the four tables and a summary. A
weakness of the default, weights from CIFAR-10 itself: they have seen the "similar" images with
their labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from benchmarks.harness.machine import in_words, machine
from cnn_jax import cli
from cnn_jax.analysis import transfer_advice
from cnn_jax.tools.advise import format_advice
from cnn_jax.transfer.initial_weights import read_trained_weights
from configs import resnet18


def main(argv: Sequence[str]) -> int:
    del argv
    found, out = {}, Path(OUT.value)
    read_trained_weights(WEIGHTS.value, "weights")  # its mistakes show before anything is fetched
    for kind, name in (("similar", SIMILAR.value), ("different", DIFFERENT.value)):
        for count in (FEW.value, 0):
            config = resnet18.get_config("digits")
            config.name, config.data.name = "advice", name
            config.model.update({"name": MODEL.value, "num_classes": 0})
            config.data.update({"image_size": IMAGE_SIZE.value, "channels": 3})
            config.data.dir = DATA_DIR.value
            config.data.fit = "crop" if ":" in name else "bilinear"
            config.data.update({"validation": 0.1, "test": 0.1})
            config.epochs, config.schedule.gamma = 30.0, 0.9
            config.augment = ("pad_and_crop(4)", "horizontal_flip")
            config.lock()
            cache, seconds = Path(CACHE_DIR.value), MINUTES.value * 60
            counts = transfer_advice.ImageCounts(count, MOST.value, MANY.value)
            one = transfer_advice.advise(config, (None, WEIGHTS.value), seconds, counts, cache)
            one["dataset"] = public(name)
            found[f"{kind}, {'few' if count else 'all'}"] = one
            print(f"\n{format_advice(one)}\n", flush=True)
    agree = {name: one["best"] in one["rule"] or as_good(one) for name, one in found.items()}
    out.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine(), "rule_agrees": agree, "quadrants": found}
    (out / "results.json").write_text(json.dumps(record, indent=1) + "\n")
    tables = [f"== {name}\n\n{format_advice(one)}" for name, one in found.items()]
    summary = [f"{name}: {'agrees' if ok else 'differs'}" for name, ok in agree.items()]
    (out / "tables.txt").write_text(
        "\n\n".join([in_words(record["machine"]), "\n".join(summary), *tables]) + "\n"
    )
    print("\n".join(summary))
    return 0 if all(agree.values()) else 1


def public(name: str) -> str:
    """A dataset's name without the place where it lies here."""
    kind, _, path = name.partition(":")
    return f"{kind}:{Path(path).name}" if path else name


def as_good(found: dict) -> bool:
    """Whether a way that the rule names is within the standard error of the best."""
    best = max(row["validation"] for row in found["tried"])
    named = [row["validation"] for row in found["tried"] if row["way"] in found["rule"]]
    return max(named, default=0) >= best - found["standard_error"]


if __name__ == "__main__":  # flags only here, so that experiments can be imported
    WEIGHTS = flags.DEFINE_string("weights", None, "A workdir, or imported weights.", required=True)
    SIMILAR = flags.DEFINE_string("similar", "cifar10", "Data like the weights' own.")
    DIFFERENT = flags.DEFINE_string("different", None, "Data unlike it.", required=True)
    MODEL = flags.DEFINE_string("model", "resnet18", "The weights' net.")
    IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Pixels a side.", lower_bound=32)
    FEW = flags.DEFINE_integer("few", 10, "Training images a class.", lower_bound=2)
    MANY = flags.DEFINE_integer("many", 50, "From how many a class on images are many.", 1)
    MOST = flags.DEFINE_integer("most", 0, "Images a class of any split, at most; 0: all.", 0)
    MINUTES = flags.DEFINE_float("minutes", 20.0, "For each of the four.", lower_bound=0.1)
    DATA_DIR = flags.DEFINE_string("data_dir", "~/.cache/cnn_jax/data", "Where sets lie.")
    CACHE_DIR = flags.DEFINE_string("cache", "~/.cache/cnn_jax/features", "For features.")
    OUT = flags.DEFINE_string("out", "experiments/results/advice", "Where the results go.")
    cli.run(main)
