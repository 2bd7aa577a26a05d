"""Optimisers and learning-rate schedules of the config, all from optax."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.clock import Clock
from cnn_jax.training.by_path import (
    add_scaled,
    decayed,
    labels,
    scale_by_path,
    stop_at,
)
from cnn_jax.training.scalings import (
    COMMON,
    DECOUPLED,
    OWN,
    RATE_INSIDE,
    SCALINGS,
    TRAINS_WITHIN,
    TRUST_COEFFICIENT,
    WITH_BIAS_CORRECTION,
    WITH_MOMENTUM,
    by_trust_ratio,
    matrices_only,
)

RATE_SCALINGS = ("linear", "sqrt")
RATE_BATCH = 256  # images, of the papers whose rates are scaled
SCHEDULES = ("constant", "exponential", "step", "cosine", "linear", "plateau")
WARMUPS = ("linear", "constant")
DECAYS = ("l2", "decoupled")
NONE: Mapping = MappingProxyType({})


def make_optimizer(
    config: ConfigDict,
    schedule: optax.Schedule,
    starts: Mapping[str, int] = NONE,
    rates: Mapping[str, float] = NONE,
    undecayed: Collection[str] = (),
    stops: Mapping[str, int] = NONE,
) -> optax.GradientTransformation:
    """The update rule: clip, decay as L2, scale, decay decoupled, times minus the learning rate.

    `optimizer.name` is how the gradient is scaled:

    - `sgd`: as it is
    - `momentum`: the sum of the gradients, each step times `momentum`
    - `nesterov`: the same, looked one step ahead
    - `rmsprop`: divided by the root of the mean square (`decay`), then `momentum` where it is set
    - `rmsprop_tf`: TensorFlow's: the mean square starts at 1, the rate is inside the momentum
    - `adagrad`: divided by the root of the sum of all squares
    - `adadelta`: by the ratio of the root mean squares of updates and gradients (`decay`)
    - `adam`: mean over root mean square (`b1`, `b2`), both corrected for their zero start unless
      `bias_correction` is False
    - `adamw`: the same, with the weight decay always decoupled
    - `nadam`: Adam looked one step ahead
    - `lion`: the sign of a mean (`b1`) of the gradient and its mean (`b2`)
    - `lars`: momentum with the rate inside; a kernel's step is in proportion to its norm
    - `lamb`: Adam; a kernel's step is in proportion to its norm
    - `muon`: kernels by the nearest orthogonal matrix of their momentum, vectors by NAdam
    - `schedule_free`: Adam whose evaluated weights are a running mean, at a constant rate

    With `optimizer.rate_inside` the momentum sums gradients times the rate of their own step: a
    rate that falls spares what was gathered before.

    `starts` has the first step, and `rates` a factor of the learning rate, of the parameters (by
    path, "conv1/kernel") that do not begin at step 0, or not at the common rate. What begins later
    begins as a fresh optimiser does: its moments and their bias corrections count from there.

    `optimizer.weight_decay` is added to the gradient (`weight_decay_kind = "l2"`) or to the scaled
    update (`"decoupled"`, always so for adamw, lamb, lion, muon, schedule_free). Vectors (biases,
    norm scales) are left out unless `optimizer.decay_vectors`, and the paths in `undecayed` always.
    `decay_by_group` divides it by the factor in `rates`. From its step in `stops` on a path stays.
    """
    check_optimizer(config)
    c = completed(config.optimizer)
    mask = None if c.decay_vectors else matrices_only
    if undecayed:
        mask = lambda params: decayed(params, c.decay_vectors, undecayed)  # noqa: E731
    decay = optax.add_decayed_weights(c.weight_decay, mask=mask) if c.weight_decay else None
    if decay and c.get("decay_by_group"):
        decay = add_scaled(decay, {path: 1 / factor for path, factor in rates.items()})
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm > 0 else []
    end = [stop_at(step, stops) for step in sorted({*stops.values()})]
    if not starts:
        return optax.chain(*clip, *rule(c, schedule, decay, rates, 0), *end)

    def from_step(start: int) -> optax.GradientTransformation:
        parts = optax.chain(*rule(c, schedule, decay, rates, start))
        return optax.conditionally_mask(parts, lambda step: step >= start) if start else parts

    by_start = {f"from_{start}": from_step(start) for start in {0, *starts.values()}}
    return optax.chain(*clip, optax.partition(by_start, lambda p: labels(p, starts)), *end)


def rule(
    c: ConfigDict,
    schedule: optax.Schedule,
    decay: optax.GradientTransformation | None,
    rates: Mapping[str, float],
    start: int,
) -> list[optax.GradientTransformation]:
    """All after the clipping, by the section `c` of a config, for what begins at step `start`."""
    decoupled = c.name in DECOUPLED or c.weight_decay_kind == "decoupled"
    # The rule counts its own steps; the schedule is of the run's.
    own = schedule if start == 0 else lambda step: schedule(step + start)
    rate = optax.scale_by_learning_rate(own)
    parts = [decay] if decay and not decoupled else []
    parts.append(SCALINGS[c.name](c, *[rate] * c.rate_inside))
    if decay and decoupled:
        parts.append(decay)
    if c.name == "lamb":
        parts.append(by_trust_ratio(1.0))
    if not c.rate_inside:
        parts.append(rate)
    if rates:
        parts.append(scale_by_path(rates))
    if c.name == "schedule_free":
        return [optax.contrib.schedule_free(optax.chain(*parts), own, b1=c.b1)]
    return parts


def check_optimizer(config: ConfigDict) -> None:
    """Raises `UserError` for words that are no choice."""
    c = config.optimizer
    if c.name not in SCALINGS:
        raise unknown("optimizer.name", c.name, SCALINGS)
    if c.weight_decay_kind not in DECAYS:
        raise unknown("optimizer.weight_decay_kind", c.weight_decay_kind, DECAYS)
    scaling = c.get("rate_scaling")
    if scaling is not None and scaling not in RATE_SCALINGS:
        raise unknown("optimizer.rate_scaling", scaling, RATE_SCALINGS)
    if scaling is None and c.get("rate_batch") is not None:
        raise UserError(
            f"optimizer.rate_batch={c.rate_batch} scales nothing: choose optimizer.rate_scaling, "
            f"{' or '.join(RATE_SCALINGS)}"
        )
    inside = completed(c).rate_inside
    if inside and c.name not in WITH_MOMENTUM:
        raise UserError(
            f"optimizer.rate_inside=True: optimizer.name={c.name!r} has no momentum; choose "
            "optimizer.rate_inside=False, or one of "
            f"{', '.join(WITH_MOMENTUM)}"
        )
    if c.get("bias_correction") is not None and c.name not in WITH_BIAS_CORRECTION:
        raise UserError(
            f"optimizer.bias_correction={c.bias_correction}: optimizer.name={c.name!r} has none to "
            "correct; choose adam or adamw"
        )
    if c.get("trust_coefficient") is not None and c.name != "lars":
        raise UserError(
            f"optimizer.trust_coefficient={c.trust_coefficient}: optimizer.name={c.name!r} has "
            "none; choose lars, or leave it out"
        )
    if inside and c.weight_decay and c.weight_decay_kind == "decoupled":
        raise UserError(
            "optimizer.weight_decay_kind='decoupled' is taken times the rate after the momentum, "
            f"optimizer.name={c.name!r} has the rate inside: "
            "choose optimizer.weight_decay_kind='l2'"
        )
    if c.name == "schedule_free":
        check_schedule_free(config)


def check_schedule_free(config: ConfigDict) -> None:
    """Raises `UserError` for what changes a step after it, and what has no mean yet."""
    others = {
        "optimizer.b1": (config.optimizer.b1, "0.9", config.optimizer.b1 > 0),
        "average_decay": (config.average_decay, "0", config.average_decay == 0),
        "on_nan": (config.get("on_nan"), "'stop'", config.get("on_nan") != "rollback"),
        "unfreeze": (config.unfreeze, "()", not config.unfreeze),
        "schedule.name": (config.schedule.name, "'constant'", config.schedule.name != "plateau"),
    }
    for key, (value, choice, is_right) in others.items():
        if not is_right:
            raise UserError(
                f"{key}={value!r} does not go with optimizer.name='schedule_free': choose {choice}"
            )


def mean_params(opt_state: optax.OptState, params: optax.Params) -> optax.Params:
    """The weights that `schedule_free` is evaluated with, beside those it takes gradients at."""
    is_one = lambda s: isinstance(s, optax.contrib.ScheduleFreeState)  # noqa: E731
    (state,) = filter(is_one, jax.tree.leaves(opt_state, is_leaf=is_one))
    return optax.contrib.schedule_free_eval_params(state, params)


def completed(optimizer: ConfigDict) -> ConfigDict:
    """A copy of the config's section in which what is left open has the optimiser's own value."""
    c = optimizer.copy_and_resolve_references()
    for key, value in {**COMMON, **OWN.get(c.name, {})}.items():
        if c[key] is None:
            c[key] = value
    with c.unlocked():
        if c.get("rate_inside") is None:
            c.rate_inside = c.name in RATE_INSIDE
        if c.get("bias_correction") is None:
            c.bias_correction = True
        if c.get("trust_coefficient") is None:
            c.trust_coefficient = TRUST_COEFFICIENT
    return c


def complete(config: ConfigDict) -> None:
    """Writes the optimiser's own values into a config that leaves them open, as a run keeps them.

    So a run says what it trained with, and goes on with it whatever a later default is.
    """
    c = completed(config.optimizer)
    config.optimizer.update({key: c[key] for key in COMMON})


def warnings_for(config: ConfigDict) -> list[str]:
    """What is doubtful in rule, rate and schedule."""
    return [*optimizer_warnings(config), *schedule_warnings(config)]


def optimizer_warnings(config: ConfigDict) -> list[str]:
    """A line where the rate was chosen for another rule, and a net hardly trains at it."""
    c = completed(config.optimizer)
    if c.name == "schedule_free" and config.schedule.name != "constant":
        return [
            f"schedule.name={config.schedule.name!r}: schedule_free means to do without: "
            "--config.schedule.name=constant, with a warm-up, is usual"
        ]
    low, high, usual = TRAINS_WITHIN.get(c.name, (0.0, math.inf, c.learning_rate))
    rate = peak_rate(config)
    is_low = rate < low and not config.init["from"]  # trained weights want small steps
    if not is_low and rate <= high:
        return []
    return [
        f"optimizer.learning_rate={rate:g} hardly trains with {c.name}, it is too "
        f"{'low' if is_low else 'high'}: --config.optimizer.learning_rate={usual:g} is usual"
    ]


def check_schedule(config: ConfigDict) -> None:
    """Raises `UserError` for what is no choice."""
    c = config.schedule
    if c.name not in SCHEDULES:
        raise unknown("schedule.name", c.name, SCHEDULES)
    if c.warmup not in WARMUPS:
        raise unknown("schedule.warmup", c.warmup, WARMUPS)
    if list(c.at_epochs) != sorted(c.at_epochs):
        raise UserError(f"schedule.at_epochs={c.at_epochs} must rise")
    if c.name == "plateau" and c.gamma >= 1:
        raise UserError(f"schedule.gamma={c.gamma} must be < 1 for schedule.name='plateau'")


def schedule_warnings(config: ConfigDict) -> list[str]:
    """A line where a rate that is to fall in steps never does."""
    epochs, at = config.epochs, config.schedule.at_epochs
    if config.schedule.name != "step" or any(epoch < epochs for epoch in at):
        return []
    shown = tuple(round(epoch, 2) for epoch in at)
    return [
        f"schedule.name='step': the rate stays as it is, for none of schedule.at_epochs={shown} "
        f"comes before the end, epochs={epochs:g}"
    ]


def warmup_too_long(warmup_epochs: float, epochs: float) -> UserError:
    return UserError(
        f"schedule.warmup_epochs={warmup_epochs} leaves nothing of epochs={epochs}; "
        "choose schedule.warmup_epochs=0.0, or more epochs"
    )


def peak_rate(config: ConfigDict) -> float:
    """The rate before the schedule, of the run's own batch.

    It is `optimizer.learning_rate` for `rate_batch` images. By "linear" it grows with the batch
    (Goyal et al. 2017, sec. 2.1), by "sqrt" with its root (Krizhevsky 2014, sec. 5).
    """
    c = config.optimizer
    rate = completed(c).learning_rate
    if c.get("rate_scaling") is None:
        return rate
    ratio = config.batch_size / (c.rate_batch or RATE_BATCH)
    return rate * (ratio if c.rate_scaling == "linear" else math.sqrt(ratio))


def make_schedule(config: ConfigDict, clock: Clock) -> optax.Schedule:
    """step -> learning rate. With E the epochs seen at a step, r = `optimizer.learning_rate`:

    - `constant`: r
    - `exponential`: r * gamma ** floor(E / every_epochs)
    - `step`: r * gamma ** (number of `at_epochs` reached)
    - `cosine`: from r at the end of the warm-up to r * final_fraction at the end of the run
    - `linear`: the same, in a straight line
    - `plateau`: r, times gamma (in the training state) whenever the validation loss stands still

    In the first `warmup_epochs` the rate climbs linearly from r * warmup_from to r, or stays at
    r * warmup_from when `warmup` is `constant`.
    """
    check_schedule(config)
    c, rate = config.schedule, peak_rate(config)
    warmup_steps = clock.step_at(c.warmup_epochs)
    if warmup_steps >= max(clock.total_steps, 1) and warmup_steps > 0:
        raise warmup_too_long(c.warmup_epochs, clock.epochs)
    if c.name == "exponential":
        main = optax.exponential_decay(
            rate, clock.steps_per_epoch * c.every_epochs, c.gamma, staircase=True
        )
    elif c.name == "step":
        main = optax.piecewise_constant_schedule(
            rate, {clock.step_at(epoch): c.gamma for epoch in c.at_epochs}
        )
    elif c.name in ("cosine", "linear"):
        decay_steps = max(clock.total_steps - warmup_steps, 1)
        fall = optax.cosine_decay_schedule(rate, decay_steps, c.final_fraction)
        if c.name == "linear":
            fall = optax.linear_schedule(rate, rate * c.final_fraction, decay_steps)
        main = lambda step: fall(jnp.maximum(step - warmup_steps, 0))  # noqa: E731
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
    return optax.contrib.reduce_on_plateau(
        factor=c.gamma, patience=c.patience, rtol=c.threshold, cooldown=c.cooldown
    )
