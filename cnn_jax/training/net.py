"""The net of a config."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from cnn_jax import models


def make_model(config: ConfigDict, outputs: int = 1) -> nn.Module:
    """The net of `config.model`; an option that is None stays as the net's name has it.

    It has `outputs` outputs where `model.num_classes` is 0.
    """
    given = {key: value for key, value in config.model.items() if value is not None}
    given["num_classes"] = config.model.num_classes or outputs
    return models.create(dtype=jnp.dtype(config.dtype), **given)


def sliding(model: nn.Module) -> nn.Module:
    """The net that slides over a larger image, which a pool to a map of one size would prevent."""
    return model.clone(adaptive=False) if hasattr(model, "adaptive") else model
