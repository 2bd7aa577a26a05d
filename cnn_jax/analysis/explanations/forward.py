"""The net's answers, by operations that any derivative can be taken of."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.variables import Tree


def logits_of(model: nn.Module, variables: Tree, images: jax.Array) -> jax.Array:
    """float32 [B, K], in evaluation mode."""
    with ops.reference_ops():
        output: Any = model.apply(variables, images, train=False)
    return output.logits.astype(jnp.float32)


def own_logits(
    model: nn.Module, variables: Tree, images: jax.Array, classes: jax.Array
) -> jax.Array:
    """Each image's logit of its class, [B]."""
    logits = logits_of(model, variables, images)
    return jnp.take_along_axis(logits, classes[:, None], 1)[:, 0]
