"""The options of the net whose weights lie in a folder, without reading the weights."""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax import models
from cnn_jax.runtime import workdir
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.transfer import pretrained
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import form_in_timm
from cnn_jax.transfer.weights import DESCRIPTION

# Options that change nothing in what trained weights compute.
TRAINING_OPTIONS = ("dropout", "auxiliary_dropout", "stochastic_depth", "zero_init", "auxiliary")


def options_of_import(description: dict[str, Any]) -> dict[str, Any]:
    """The options of imported weights; what an earlier import did not write down was `EARLIER`."""
    model, written = description["model"], description.get("options", {})
    options = workdir.net_options({f"model.{key}": value for key, value in written.items()})
    own = models.REGISTRY[model].options() if model in models.REGISTRY else written
    return {key: value for key, value in options.items() if key in own}


def form_of_weights(path: str) -> dict[str, Any]:
    """The options of the net whose weights are in a folder, and nothing where none can be read."""
    try:
        row = pretrained.find(path, "init.from")
        folder = pretrained.locate(path, "init.from") if row is None else pretrained.cached(row)
        if row is not None and not pretrained.is_kept(row):
            model, options = row.model, form_in_timm(MAPS[row.model]()).options
        elif (folder / DESCRIPTION).is_file():
            description = read_json_object(folder / DESCRIPTION)
            model, options = description["model"], options_of_import(description)
        else:
            config = read_json_object(folder / "config.json")
            model, options = config["model.name"], workdir.net_options(config)
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return {}  # what is wrong is said when the weights are read
    own = models.REGISTRY[model].options() if model in models.REGISTRY else {}
    defaults = {key: default for key, (_, default) in own.items()}
    return {key: value for key, value in (defaults | options).items() if key in own}


def option_differences(name: str, options: dict[str, Any], model: nn.Module) -> list[str]:
    """In words: how the net `name` with these options differs from `model` where no shape tells."""
    trained_net = models.REGISTRY.get(name)
    if trained_net is None or trained_net.module is not type(model):
        return []
    defaults = {key: default for key, (_, default) in trained_net.options().items()}
    changed = {key: v for key, v in options.items() if v is not None}
    out = []
    for key, value in (defaults | changed).items():
        here = getattr(model, key, value)
        value = tuple(value) if isinstance(value, list) else value
        if key in defaults and key not in TRAINING_OPTIONS and here != value:
            out.append(f"{key}={value!r} there, {here!r} here")
    return out
