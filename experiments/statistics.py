"""From the paired differences of a claim to its verdict.

- A claim says that an effect lies above a threshold (0 unless it says more). Its verdict is
  `supported` or `contradicted` where both a paired t test and the exact sign-flip test reject the
  threshold at 5 %; `no effect above the margin` where two one-sided t tests place the effect within
  +-margin at 5 % (Schuirmann 1987); else `not decided here`.
- A two-sided rule needs six seeds, a one-sided rule five: with n seeds that all agree the sign-flip
  test gives 1 / 2^n a side. A one-sided rule cannot end as contradicted.
- Over many claims p is adjusted by Holm's procedure (1979).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import special

ALPHA = 0.05
SUPPORTED, CONTRADICTED = "supported", "contradicted"
NO_EFFECT, NOT_DECIDED = "no effect above the margin", "not decided here"
VERDICTS = (SUPPORTED, CONTRADICTED, NO_EFFECT, NOT_DECIDED)
EXACT_UP_TO = 16  # seeds; beyond it the sign-flip test is by its normal approximation
MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Rule:
    """What decides a claim; frozen before its first run.

    The effect is in the measure's unit, or a factor where `ratio` is true: then the logarithms are
    compared, and `margin` and `threshold` are factors too, 1 standing for no effect.
    """

    direction: Literal["greater", "less"]
    margin: float  # the smallest effect that matters
    threshold: float | None = None  # what the claim says that the effect passes; no effect
    sides: Literal[1, 2] = 2
    ratio: bool = False

    def __post_init__(self):
        if self.direction not in ("greater", "less"):
            raise ValueError(f"direction={self.direction!r}: choose greater or less")
        if self.sides not in (1, 2):
            raise ValueError(f"sides={self.sides}: choose 1 or 2")
        if not math.isfinite(self.margin) or self.margin < (1 if self.ratio else 0):
            raise ValueError(f"margin={self.margin}: choose a size of effect")
        if self.threshold is None and self.log(self.margin) == 0:
            raise ValueError("without a threshold a margin is needed, or nothing could be said")
        if self.ratio and self.threshold is not None and self.threshold <= 0:
            raise ValueError(f"threshold={self.threshold}: a factor is positive")

    @property
    def least_seeds(self) -> int:
        return 4 + self.sides

    def log(self, value: float) -> float:
        """On the scale of comparison."""
        return math.log(value) if self.ratio else value

    def unlog(self, value: float) -> float:
        return math.exp(value) if self.ratio else value


@dataclasses.dataclass(frozen=True)
class Effect:
    """The paired differences in short; `low` and `high` bound the mean with 95 % confidence."""

    n: int
    mean: float
    deviation: float
    low: float
    high: float
    agree: float  # the share of seeds on the claim's side of the threshold
    p: float  # of the paired t test against the threshold
    p_signs: float  # of the exact sign-flip test


@dataclasses.dataclass(frozen=True)
class Judgement:
    verdict: str
    effect: Effect
    seeds_needed: int | None = None  # where not decided: at this mean and deviation; None: > 1000


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The confidence interval of the mean by Student's t."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return -math.inf, math.inf
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    half = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * error
    return mean - half, mean + half


def t_test(values: Sequence[float], threshold: float, sides: int) -> float:
    """p of the mean being at the threshold; one-sided against its being above."""
    n, excess = len(values), float(np.mean(values)) - threshold
    if n < 2:
        return 1.0
    error = float(np.std(values, ddof=1)) / math.sqrt(n)
    t = excess / error if error else math.copysign(math.inf, excess) if excess else 0.0
    above = float(special.stdtr(n - 1, -t))
    return above if sides == 1 else min(1.0, 2 * min(above, 1 - above))


def sign_flip_test(values: Sequence[float], threshold: float, sides: int) -> float:
    """p of the mean when every difference from the threshold may as well have the other sign."""
    excess = np.asarray(values, np.float64) - threshold
    n, observed = len(excess), float(np.sum(excess))
    scale = float(np.abs(excess).sum())
    if scale == 0:
        return 1.0
    if n > EXACT_UP_TO:
        above = float(special.ndtr(-observed / math.sqrt(float(np.sum(excess**2)))))
        return above if sides == 1 else min(1.0, 2 * min(above, 1 - above))
    sums, tie = all_signs(n) @ excess, 1e-12 * scale
    if sides == 1:
        return float(np.mean(sums >= observed - tie))
    return float(np.mean(np.abs(sums) >= abs(observed) - tie))


@functools.cache
def all_signs(n: int) -> np.ndarray:
    """[2^n, n] of +1 and -1."""
    return np.array(list(itertools.product((1.0, -1.0), repeat=n)))


def within_margin(values: Sequence[float], margin: float) -> float:
    """p of two one-sided t tests for a mean within +-margin: the larger one."""
    return max(
        t_test(values, -margin, 1),
        t_test([-value for value in values], -margin, 1),
    )


def judge(differences: Sequence[float], rule: Rule) -> Judgement:
    """The verdict on paired differences, which are logarithms of ratios where the rule has them."""
    sign = 1.0 if rule.direction == "greater" else -1.0
    claimed = [sign * value for value in differences]
    threshold = 0.0 if rule.threshold is None else sign * rule.log(rule.threshold)
    n, mean = len(claimed), float(np.mean(claimed))
    deviation = float(np.std(claimed, ddof=1)) if n > 1 else math.inf
    low, high = sorted(sign * bound for bound in interval(claimed))
    effect = Effect(
        n=n,
        mean=sign * mean,
        deviation=deviation,
        low=low,
        high=high,
        agree=float(np.mean([value > threshold for value in claimed])),
        p=t_test(claimed, threshold, rule.sides),
        p_signs=sign_flip_test(claimed, threshold, rule.sides),
    )
    if n >= rule.least_seeds:
        if within_margin(claimed, rule.log(rule.margin)) < ALPHA:
            return Judgement(NO_EFFECT, effect)
        if max(effect.p, effect.p_signs) < ALPHA:
            return Judgement(SUPPORTED if mean > threshold else CONTRADICTED, effect)
    needed = seeds_needed(mean, deviation, threshold, rule)
    return Judgement(NOT_DECIDED, effect, needed)


def seeds_needed(mean: float, deviation: float, threshold: float, rule: Rule) -> int | None:
    """The fewest seeds that would decide, were the mean and the deviation to stay as they are.

    Of the sign-flip test its normal approximation counts.
    """
    if not math.isfinite(deviation):
        return rule.least_seeds
    n = np.arange(rule.least_seeds, MOST_SEEDS + 1)
    error = deviation / np.sqrt(n)
    excess = abs(mean - threshold)
    apart = t_quantiles(1 - ALPHA / rule.sides, rule.least_seeds) * error < excess
    size = math.hypot(excess, deviation)  # root mean square of the differences
    apart &= special.ndtri(1 - ALPHA / rule.sides) * size < excess * np.sqrt(n)
    if rule.sides == 1 and mean < threshold:
        apart[:] = False
    room = rule.log(rule.margin) - abs(mean)  # to the nearer end of the margin
    decided = apart | (t_quantiles(1 - ALPHA, rule.least_seeds) * error < room)
    return int(n[decided.argmax()]) if decided.any() else None


@functools.cache
def t_quantiles(p: float, least: int) -> np.ndarray:
    """Student's t below which p lies, for each number of seeds from `least` to `MOST_SEEDS`."""
    return special.stdtrit(np.arange(least, MOST_SEEDS + 1) - 1, p)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """The adjusted p of each claim: at most 5 % of all sets of claims hold one false rejection."""
    adjusted, largest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: (p_values[name], name))):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}
