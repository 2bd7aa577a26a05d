"""Optimisers and learning-rate schedules of the config, all from optax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.clock import Clock

# name -> the part of the update between the gradient and the learning rate
SCALINGS: dict[str, Callable[[ConfigDict], optax.GradientTransformation]] = {
    "sgd": lambda c: optax.identity(),
    "momentum": lambda c: optax.trace(c.momentum),
    "nesterov": lambda c: optax.trace(c.momentum, nesterov=True),
    "rmsprop": lambda c: optax.chain(
        optax.scale_by_rms(c.decay, c.eps),
        optax.trace(c.momentum) if c.momentum else optax.identity(),
    ),
    "adagrad": lambda c: optax.scale_by_rss(initial_accumulator_value=0.0, eps=c.eps),
    "adadelta": lambda c: optax.scale_by_adadelta(c.decay, c.eps),
    "adam": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps),
    "adamw": lambda c: optax.scale_by_adam(c.b1, c.b2, c.eps),
}
SCHEDULES = ("constant", "exponential", "step", "cosine", "plateau")
WARMUPS = ("linear", "constant")
DECAYS = ("l2", "decoupled")
NONE: Mapping = MappingProxyType({})


def make_optimizer(
    config: ConfigDict,
    schedule: optax.Schedule,
    starts: Mapping[str, int] = NONE,
    rates: Mapping[str, float] = NONE,
) -> optax.GradientTransformation:
    """The update rule: clip, decay as L2, scale, decay decoupled, times minus the learning rate.

    `optimizer.name` is how the gradient is scaled:

    - `sgd`: as it is
    - `momentum`: the sum of the gradients, each step times `momentum`
    - `nesterov`: the same, looked one step ahead
    - `rmsprop`: divided by the root of the mean square (`decay`), then `momentum` where it is set
    - `adagrad`: divided by the root of the sum of all squares
    - `adadelta`: by the ratio of the root mean squares of updates and gradients (`decay`)
    - `adam`: mean over root mean square (`b1`, `b2`), both corrected for their zero start
    - `adamw`: the same, with the weight decay always decoupled

    `starts` has the first step, and `rates` a factor of the learning rate, of the parameters (by
    path, "conv1/kernel") that do not begin at step 0, or not at the common rate. What begins later
    begins as a fresh optimiser does: its moments and their bias corrections count from there.

    `optimizer.weight_decay` is added to the gradient (`weight_decay_kind = "l2"`) or to the scaled
    update (`"decoupled"`, always so for adamw). Vectors (biases, norm scales) are left out unless
    `optimizer.decay_vectors`.
    """
    c = config.optimizer
    check_optimizer(config)
    mask = None if c.decay_vectors else matrices_only
    decay = optax.add_decayed_weights(c.weight_decay, mask=mask)
    decoupled = c.name == "adamw" or c.weight_decay_kind == "decoupled"
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm > 0 else []

    def rule(start: int) -> list[optax.GradientTransformation]:
        """All after the clipping, for what begins at step `start`."""
        parts = []
        if c.weight_decay and not decoupled:
            parts.append(decay)
        parts.append(SCALINGS[c.name](c))
        if c.weight_decay and decoupled:
            parts.append(decay)
        # The rule counts its own steps; the schedule is of the run's.
        own = schedule if start == 0 else lambda step: schedule(step + start)
        parts.append(optax.scale_by_learning_rate(own))
        if rates:
            parts.append(scale_by_path(rates))
        return parts

    if not starts:
        return optax.chain(*clip, *rule(0))

    def from_step(start: int) -> optax.GradientTransformation:
        parts = optax.chain(*rule(start))
        return optax.conditionally_mask(parts, lambda step: step >= start) if start else parts

    by_start = {f"from_{start}": from_step(start) for start in {0, *starts.values()}}
    return optax.chain(*clip, optax.partition(by_start, lambda p: labels(p, starts)))


def check_optimizer(config: ConfigDict) -> None:
    """Raises `UserError` for words that are no choice."""
    c = config.optimizer
    if c.name not in SCALINGS:
        raise unknown("optimizer.name", c.name, SCALINGS)
    if c.weight_decay_kind not in DECAYS:
        raise unknown("optimizer.weight_decay_kind", c.weight_decay_kind, DECAYS)


def labels(params: optax.Params, starts: Mapping[str, int]) -> optax.Params:
    """Each parameter's group: "from_0", or from the step that `starts` has."""
    return with_path(lambda path, _: f"from_{starts.get(path, 0)}", params)


def scale_by_path(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiplies the updates of some parameters, by path, each with its factor."""

    def update(updates: optax.Updates, _: optax.Params) -> optax.Updates:
        return with_path(lambda path, u: u * factors.get(path, 1.0), updates)

    return optax.stateless(update)


def with_path(function: Callable, tree: optax.Params) -> optax.Params:
    """`function(path, leaf)` of every leaf; the path is like "conv1/kernel"."""
    name = lambda keys: jax.tree_util.keystr(keys, simple=True, separator="/")  # noqa: E731
    return jax.tree_util.tree_map_with_path(lambda keys, leaf: function(name(keys), leaf), tree)


def matrices_only(params: optax.Params) -> optax.Params:
    """True for kernels, False for biases, norm scales and other vectors."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def make_schedule(config: ConfigDict, clock: Clock) -> optax.Schedule:
    """step -> learning rate. With E the epochs seen at a step, r = `optimizer.learning_rate`:

    - `constant`: r
    - `exponential`: r * gamma ** floor(E / every_epochs)
    - `step`: r * gamma ** (number of `at_epochs` reached)
    - `cosine`: from r at the end of the warm-up to r * final_fraction at the end of the run
    - `plateau`: r, times gamma (in the training state) whenever the validation loss stands still

    In the first `warmup_epochs` the rate climbs linearly from r * warmup_from to r, or stays at
    r * warmup_from when `warmup` is `constant`.
    """
    c, rate = config.schedule, config.optimizer.learning_rate
    if c.name not in SCHEDULES:
        raise unknown("schedule.name", c.name, SCHEDULES)
    if c.warmup not in WARMUPS:
        raise unknown("schedule.warmup", c.warmup, WARMUPS)
    if list(c.at_epochs) != sorted(c.at_epochs):
        raise UserError(f"schedule.at_epochs={c.at_epochs} must rise")
    warmup_steps = clock.step_at(c.warmup_epochs)
    if warmup_steps >= max(clock.total_steps, 1) and warmup_steps > 0:
        raise UserError(
            f"schedule.warmup_epochs={c.warmup_epochs} leaves nothing of epochs={clock.epochs}"
        )
    if c.name == "exponential":
        main = optax.exponential_decay(
            rate, clock.steps_per_epoch * c.every_epochs, c.gamma, staircase=True
        )
    elif c.name == "step":
        main = optax.piecewise_constant_schedule(
            rate, {clock.step_at(epoch): c.gamma for epoch in c.at_epochs}
        )
    elif c.name == "cosine":
        decay_steps = max(clock.total_steps - warmup_steps, 1)
        cosine = optax.cosine_decay_schedule(rate, decay_steps, c.final_fraction)
        main = lambda step: cosine(jnp.maximum(step - warmup_steps, 0))  # noqa: E731
    else:
        main = optax.constant_schedule(rate)
    if warmup_steps == 0:
        return main
    start = rate * c.warmup_from
    end = rate if c.warmup == "linear" else start
    ramp = optax.linear_schedule(start, end, warmup_steps)
    return lambda step: jnp.where(step < warmup_steps, ramp(step), main(step))


def make_plateau(config: ConfigDict) -> optax.GradientTransformationExtraArgs | None:
    """optax's reduce-on-plateau, fed with the validation loss after every evaluation, or None."""
    c = config.schedule
    if c.name != "plateau":
        return None
    if c.gamma >= 1:
        raise UserError(f"schedule.gamma={c.gamma} must be < 1 for schedule.name='plateau'")
    return optax.contrib.reduce_on_plateau(
        factor=c.gamma, patience=c.patience, rtol=c.threshold, cooldown=c.cooldown
    )
