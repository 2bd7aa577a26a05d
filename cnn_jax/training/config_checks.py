"""What can be said of a config's values before workdir, data and net are looked at.

The net's options are checked where it is made, by `models.options`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_collections import ConfigDict

from cnn_jax.data import augment, splits
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.loading.sampler import SAMPLERS
from cnn_jax.data.normalization import NORMALISATIONS
from cnn_jax.errors import UserError, out_of_range, unknown, within
from cnn_jax.runtime.config_files import base_config, check_key, keys_of
from cnn_jax.runtime.sharding import MODES
from cnn_jax.training import class_weights, lookahead, optimizers
from cnn_jax.training.losses import LOSSES, check_constant
from cnn_jax.transfer.freezing import NORM_MODES, parse_pairs

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
    "log_flow": COUNT,
    "population_statistics": COUNT,
    "steps_per_dispatch": COUNT,
    "devices": COUNT,
    "shards": ">= 1",
    "accumulate": ">= 1",
    "clip_norm": ">= 0",
    "average_decay": SHARE,
    "model.num_classes": COUNT,
    "data.image_size": COUNT,
    "data.channels": COUNT,
    "data.validation": ">= 0",
    "data.test": ">= 0",
    "data.split_seed": SEED,
    "data.folds": ">= 2",
    "data.fold": COUNT,
    "data.resize": COUNT,
    "data.resize_margin": COUNT,
    "data.max_pixels": ">= 1",
    "data.memory_megabytes": COUNT,
    "data.workers": COUNT,
    "data.threads": ">= 1",
    "loss.label_smoothing": SHARE,
    "loss.j": POSITIVE,
    "loss.auxiliary_weights": ">= 0",
    "optimizer.learning_rate": POSITIVE,
    "optimizer.rate_batch": ">= 1",
    "optimizer.momentum": SHARE,
    "optimizer.b1": SHARE,
    "optimizer.b2": SHARE,
    "optimizer.decay": SHARE,
    "optimizer.eps": POSITIVE,
    "optimizer.trust_coefficient": POSITIVE,
    "optimizer.weight_decay": ">= 0",
    "optimizer.layer_decay": "> 0 and <= 1",
    "on_nan_factor": "> 0 and < 1",
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
    "on_nan": ("stop", "skip", "rollback"),
    "parallel": MODES,
    "freeze_norm": NORM_MODES,
    "data.normalisation": NORMALISATIONS,
    "data.sampler": SAMPLERS,
    "loss.name": tuple(LOSSES),
}
OPEN = ("augment_border", "data.sampler")  # may be None


def check(config: ConfigDict) -> None:
    """Raises `UserError` for the first key that there is not, and the first value that is wrong."""
    check_keys(config)
    check_types(config)
    for key, choices in CHOICES.items():
        value = lookup(config, key)
        if value not in choices and not (value is None and key in OPEN):
            raise unknown(key, value, choices)
    for key, limits in RANGES.items():
        value = lookup(config, key)
        for entry in value if isinstance(value, tuple | list) else [value]:
            if entry is not None and not within(entry, limits):
                raise out_of_range(key, value, limits)
    splits.check_folds(config.data)
    check_constant(config.loss)
    optimizers.check_optimizer(config)
    optimizers.check_schedule(config)
    if (warmup := config.schedule.warmup_epochs) >= config.epochs:
        raise optimizers.warmup_too_long(warmup, config.epochs)
    for key in ("unfreeze", "freeze_after", "optimizer.groups"):
        parse_pairs(key, lookup(config, key) or ())
    lookahead.check(config)
    if weights := lookup(config, class_weights.KEY):
        class_weights.parse(weights)
    check_images(config)
    if not isinstance(name := config.model.get("name"), str):
        raise UserError(f"model.name={name!r:.100}: name a net; cnn_jax summarize --list=nets")
    if config.get("shard_optimizer") and config.parallel != "jit":
        raise UserError(
            f"shard_optimizer=True does not go with parallel={config.parallel!r}, where every "
            "device makes the whole update: choose parallel='jit', or shard_optimizer=False"
        )


def check_keys(config: ConfigDict) -> None:
    """Raises `UserError` for a key that no program would read, and one that is not there."""
    known = base_config()
    keys = [key for key in keys_of(config) if not key.startswith("model.")]
    for key in keys:
        check_key(known, key, f"config.{key}={lookup(config, key)!r}")
    for key in keys_of(known):
        if key not in keys and not key.startswith("model."):
            raise UserError(
                f"the config has no {key}: begin with configs.base, which has every key"
            )


def check_types(config: ConfigDict) -> None:
    """Raises `UserError` for a value of another type than its key has, as the command line does.

    A config of plain values, or of a run's config.json, may hold any.
    """
    known = base_config()
    for key in keys_of(known):
        parents, _, name = f".{key}".rpartition(".")
        section: Any = lookup(known, parents[1:]) if parents else known
        kind, may_be_none = section.get_type(name), section[name] is None
        value = lookup(config, key)
        if not (is_of_type(value, kind) or (value is None and may_be_none)):
            raise UserError(
                f"config.{key}={value!r:.100} has the wrong type: expected {kind.__name__}"
            )
    for spec in config.augment:
        if not isinstance(spec, str):
            raise UserError(f"config.augment holds {spec!r:.100}: write 'name' or 'name(numbers)'")


def is_of_type(value: Any, kind: type) -> bool:
    """Whether a value is of the type of a key; whole numbers are floats too, lists are tuples."""
    if kind in (int, float) and isinstance(value, bool):
        return False
    wider = {float: (int, float), tuple: (tuple, list)}
    return isinstance(value, wider.get(kind, kind))


def check_images(config: ConfigDict) -> None:
    """Raises `UserError` for what is done to images, as far as no image is needed to tell."""
    c = config.data
    ResizeSpec.of(c)
    if c.train_crop:
        TrainCrop.parse(c.train_crop, c.image_size)
    if c.image_size:
        EvalProtocol.parse(config.protocol, c.image_size, c.channels)
    shape = image_shape(config)
    channels = shape[-1] if shape else 3
    augment.compose(config.augment, shape, colours=np.zeros((channels, channels), np.float32))


def image_shape(config: ConfigDict) -> tuple[int, int, int] | None:
    """[H, W, C] as the net will see it; None where size or channels are as in the source."""
    size, channels = config.data.image_size, config.data.channels
    return (size, size, channels) if size and channels else None


def lookup(config: ConfigDict, key: str) -> Any:
    """The value of a dotted key, None where the config has no such key."""
    for part in key.split("."):
        if part not in config:
            return None
        config = config[part]
    return config
