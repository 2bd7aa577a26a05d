"""Choices and ranges of a config's values but the net's options, which `models.options` has."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from cnn_jax.errors import out_of_range, unknown, within

COUNT, POSITIVE, SHARE = ">= 0", "> 0", ">= 0 and < 1"
SEED = ">= 0 and < 4294967296"

RANGES = {
    "seed": SEED,
    "epochs": POSITIVE,
    "batch_size": ">= 1",
    "eval_batch_size": COUNT,
    "eval_every_epochs": POSITIVE,
    "early_stopping_patience": COUNT,
    "log_every_steps": COUNT,
    "steps_per_dispatch": COUNT,
    "devices": COUNT,
    "accumulate": ">= 1",
    "clip_norm": ">= 0",
    "average_decay": SHARE,
    "model.num_classes": COUNT,
    "data.image_size": COUNT,
    "data.channels": COUNT,
    "data.validation": ">= 0",
    "data.test": ">= 0",
    "data.split_seed": SEED,
    "data.resize": COUNT,
    "data.resize_margin": COUNT,
    "data.max_pixels": ">= 1",
    "data.memory_megabytes": COUNT,
    "data.workers": COUNT,
    "data.threads": ">= 1",
    "loss.label_smoothing": SHARE,
    "loss.auxiliary_weights": ">= 0",
    "optimizer.learning_rate": POSITIVE,
    "optimizer.momentum": SHARE,
    "optimizer.b1": SHARE,
    "optimizer.b2": SHARE,
    "optimizer.decay": SHARE,
    "optimizer.eps": POSITIVE,
    "optimizer.weight_decay": ">= 0",
    "optimizer.layer_decay": "> 0 and <= 1",
    "schedule.gamma": POSITIVE,
    "schedule.every_epochs": POSITIVE,
    "schedule.at_epochs": POSITIVE,
    "schedule.final_fraction": ">= 0",
    "schedule.patience": ">= 1",
    "schedule.threshold": "> 0 and < 1",
    "schedule.cooldown": COUNT,
    "schedule.warmup_epochs": ">= 0",
    "schedule.warmup_from": ">= 0",
    "checkpoint.every_steps": COUNT,
    "checkpoint.keep": ">= 1",
}
CHOICES = {
    "dtype": ("float32", "bfloat16"),
    "init.head": ("auto", "keep", "drop"),
    "augment_border": ("black", "mean"),
}
OPEN = ("augment_border",)  # may be None


def check(config: ConfigDict) -> None:
    """Raises `UserError` for the first word that is no choice, or number out of its range."""
    for key, choices in CHOICES.items():
        value = lookup(config, key)
        if value not in choices and not (value is None and key in OPEN):
            raise unknown(key, value, choices)
    for key, limits in RANGES.items():
        value = lookup(config, key)
        for entry in value if isinstance(value, tuple | list) else [value]:
            if entry is not None and not within(entry, limits):
                raise out_of_range(key, value, limits)


def lookup(config: ConfigDict, key: str) -> Any:
    """The value of a dotted key, None where the config has no such key."""
    for part in key.split("."):
        if part not in config:
            return None
        config = config[part]
    return config
