"""How the gradient is scaled: optax's rules by name, with the constants of their authors."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def chained(*parts: optax.GradientTransformation) -> optax.GradientTransformation:
    """One part stays itself, and so does the form of its state."""
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def adam(c: ConfigDict) -> optax.GradientTransformation:
    """Kingma & Ba 2015; without `bias_correction` the moments stay as small as their zero start."""
    corrected = optax.scale_by_adam(c.b1, c.b2, c.eps)
    if c.bias_correction:
        return corrected

    def update(
        updates: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        mu = optax.tree.update_moment(updates, state.mu, c.b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(updates, state.nu, c.b2, 2)
        scaled = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + c.eps), mu, nu)
        return scaled, optax.ScaleByAdamState(state.count + 1, mu, nu)

    return optax.GradientTransformation(corrected.init, update)


def momentum_of(c: ConfigDict) -> optax.GradientTransformation:
    return optax.trace(c.momentum) if c.momentum else optax.identity()


def by_trust_ratio(coefficient: float) -> optax.GradientTransformation:
    """A kernel's update times its norm over the update's; vectors as they are (You et al.)."""
    ratio = optax.scale_by_trust_ratio(trust_coefficient=coefficient)
    return optax.masked(ratio, matrices_only)


def muon(c: ConfigDict) -> optax.GradientTransformation:
    """Jordan et al. 2024; a convolution's kernel is a matrix of its outputs by all else.

    Steps have the root mean square of Adam's, 0.2 (Liu et al. 2025, sec. 2.2), so that its rate
    serves kernels and vectors.
    """
    # optax's ends with minus the rate, which comes later here.
    return optax.contrib.muon(
        -1.0,
        beta=c.momentum,
        adam_b1=c.b1,
        adam_b2=c.b2,
        eps=c.eps,
        muon_weight_dimension_numbers=as_matrices,
        consistent_rms=0.2,
    )


def as_matrices(params: optax.Params) -> optax.Params:
    """Of each kernel [..., in, out] the axes of the matrix; None for vectors."""
    axes = optax.contrib.MuonDimensionNumbers

    def of(p: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        return axes(tuple(range(p.ndim - 1)), p.ndim - 1) if p.ndim > 1 else None

    return jax.tree.map(of, params)


def matrices_only(params: optax.Params) -> optax.Params:
    """True for kernels, False for biases, norm scales and other vectors."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


# name -> the part of the update between the gradient and the learning rate; `rate` is given where
# the rate belongs within it
SCALINGS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": lambda c: optax.identity(),
    "momentum": lambda c, *rate: chained(*rate, optax.trace(c.momentum)),
    "nesterov": lambda c, *rate: chained(*rate, optax.trace(c.momentum, nesterov=True)),
    "rmsprop": lambda c, *rate: optax.chain(
        optax.scale_by_rms(c.decay, c.eps), *rate, momentum_of(c)
    ),
    "rmsprop_tf": lambda c, *rate: optax.chain(
        optax.scale_by_rms(c.decay, c.eps, initial_scale=1.0), *rate, momentum_of(c)
    ),
    "adagrad": lambda c: optax.scale_by_rss(initial_accumulator_value=0.0, eps=c.eps),
    "adadelta": lambda c: optax.scale_by_adadelta(c.decay, c.eps),
    "adam": lambda c: adam(c),
    "adamw": lambda c: adam(c),
    "nadam": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps, nesterov=True),
    "lion": lambda c: optax.scale_by_lion(c.b1, c.b2),
    "lars": lambda c, *rate: optax.chain(
        by_trust_ratio(c.trust_coefficient), *rate, optax.trace(c.momentum)
    ),
    "lamb": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps),
    "muon": lambda c: muon(c),
    "schedule_free": lambda c: optax.scale_by_adam(0.0, c.b2, c.eps),  # its mean is the momentum
}
WITH_MOMENTUM = ("momentum", "nesterov", "rmsprop", "rmsprop_tf", "lars")
RATE_INSIDE = ("rmsprop_tf", "lars")  # unless `rate_inside` says otherwise
WITH_BIAS_CORRECTION = ("adam", "adamw")
DECOUPLED = ("adamw", "lamb", "lion", "muon", "schedule_free")  # weight decay, always
BY_TENSOR = ("lars", "lamb", "muon")  # what a step is depends on the whole tensor
TRUST_COEFFICIENT = 1e-3  # of lars; You et al. 2017, sec. 5
COMMON = {"learning_rate": 1e-3, "momentum": 0.9, "decay": 0.9, "b2": 0.999, "eps": 1e-8}
# What a key that is left open means for an optimiser whose authors have another value.
OWN: dict[str, dict[str, float]] = {
    "rmsprop": {"momentum": 0.0},  # Hinton's lecture 6e
    "rmsprop_tf": {"momentum": 0.0, "eps": 1e-10},  # tf.train.RMSPropOptimizer
    "adadelta": {"learning_rate": 1.0, "decay": 0.95, "eps": 1e-6},  # Zeiler 2012, sec. 4
    "lion": {"learning_rate": 1e-4, "b2": 0.99},  # Chen et al. 2023, sec. 5: a tenth of Adam's
    "lars": {"learning_rate": 1.0},  # ours: the trust coefficient makes it small
    "lamb": {"eps": 1e-6},  # the authors' code
    "muon": {"momentum": 0.95},  # Jordan et al. 2024
    "schedule_free": {"learning_rate": 2.5e-3},  # Defazio et al. 2024, their code
}
# (lowest, highest, a usual one) of the rates at which a net of ordinary initialisation trains;
# by three epochs of lenet5 on digits: sgd 36 % at 1e-3, 88 % at 1e-2; adam 43 % and rmsprop 57 % at
# 0.1. (adagrad has 91 % at 1e-3.)
TRAINS_WITHIN = {
    "sgd": (5e-3, math.inf, 0.1),
    "adadelta": (0.1, math.inf, 1.0),
    "rmsprop": (0.0, 0.05, 1e-3),
    "adam": (0.0, 0.05, 1e-3),
    "adamw": (0.0, 0.05, 1e-3),
    "nadam": (0.0, 0.05, 1e-3),
    "lion": (0.0, 0.01, 1e-4),
    "lars": (0.05, math.inf, 1.0),
    "muon": (0.0, 0.05, 1e-3),
    "schedule_free": (0.0, 0.1, 2.5e-3),
}
