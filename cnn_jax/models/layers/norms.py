"""Normalisations by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn

from cnn_jax import ops
from cnn_jax.models.layers.activations import Activation, activate
from cnn_jax.models.layers.batch_norm import BatchNorm, NoisyBatchNorm
from cnn_jax.models.layers.shapes import Activations

Norm = Literal["none", "batch", "batch_noise", "layer", "instance", "group"]

# Norms that subtract each channel's mean, so that a bias before them has no effect
# (Ioffe & Szegedy 2015, sec. 3.2).
CENTRING_NORMS = ("batch", "batch_noise", "instance")


def norm(
    kind: Norm,
    train: bool,
    *,
    name: str | None = None,
    dtype: Any = None,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    scale_init: Callable = nn.initializers.ones,
    scale: bool = True,
    groups: int = 32,
) -> Callable[[Activations], Activations]:
    """The normalisation `kind` for maps [B, H, W, C] or vectors [B, C], as a linen module.

    `batch` normalises over the batch (its running statistics move by `1 - momentum` a step and are
    what `train=False` uses), `layer` over a whole example, `instance` over each map of an example,
    `batch_noise` is `batch` with a shift and a scale drawn anew in every step and channel after it,
    `group` over groups of channels (at most `groups`, fewer where they do not divide the channels).
    `scale=False` is for `batch` alone: it then has a bias only. A vector has no map to normalise
    over: `instance` leaves it alone.
    """
    common = {"name": name, "dtype": dtype, "epsilon": epsilon, "scale_init": scale_init}
    if kind == "batch_noise":
        return NoisyBatchNorm(train=train, momentum=momentum, **common)
    if kind == "batch":
        return BatchNorm(
            use_running_average=not train, momentum=momentum, use_scale=scale, **common
        )

    def by_group(x: Activations) -> Activations:
        channels = x.shape[-1]
        count = {"layer": 1, "instance": channels, "group": math.gcd(groups, channels)}[kind]
        return nn.GroupNorm(num_groups=count, **common)(x)

    def unchanged(x: Activations) -> Activations:
        return x

    if kind == "none":
        return unchanged
    if kind == "instance":
        return lambda x: by_group(x) if x.ndim == 4 else x
    return by_group


def activate_normalised(
    activation: Activation, layer: Callable[..., Activations], x: Activations
) -> Activations:
    """activation(layer(x)): of BatchNorm and one of `ops.AFTER_NORM` in training as one operation.

    In evaluation they are two: who looks into a net, or folds its norms, takes the layer's output
    for that of the norm alone.
    """
    trains = isinstance(layer, BatchNorm) and not layer.use_running_average
    if trains and activation in ops.AFTER_NORM and not ops.use_guided_rectifiers():
        y = layer(x, activation=activation)
        return y if activation == "none" else ops.observe_activation(y)
    return activate(activation, layer(x))
