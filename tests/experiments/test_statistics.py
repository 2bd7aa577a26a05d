"""The tests behind verdicts: against scipy, by hand, and on populations of known effect."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.statistics import (
    CONTRADICTED,
    NO_EFFECT,
    NOT_DECIDED,
    SUPPORTED,
    Rule,
    holm,
    interval,
    judge,
    seeds_needed,
    sign_flip_test,
    t_test,
    within_margin,
)

VALUES = [0.3, 0.9, -0.2, 0.7, 0.5, 1.1]
DRAWS = 1500


@pytest.mark.parametrize("threshold", [0.0, 0.4, 2.0])
def test_p_and_interval_are_scipys(threshold):
    theirs = stats.ttest_1samp(VALUES, threshold)
    assert t_test(VALUES, threshold, 2) == pytest.approx(theirs.pvalue, rel=1e-9)
    above = stats.ttest_1samp(VALUES, threshold, alternative="greater")
    assert t_test(VALUES, threshold, 1) == pytest.approx(above.pvalue, rel=1e-9)
    assert interval(VALUES) == pytest.approx(tuple(theirs.confidence_interval(0.95)))

    def mean(x, axis):
        return np.mean(x, axis=axis)

    for sides, alternative in ((1, "greater"), (2, "two-sided")):
        flips = stats.permutation_test(
            (np.array(VALUES) - threshold,),
            mean,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative=alternative,
        )
        assert sign_flip_test(VALUES, threshold, sides) == pytest.approx(flips.pvalue)


@pytest.mark.parametrize("n", [3, 5, 6, 8])
def test_seeds_that_all_agree_give_one_in_two_to_the_n(n):
    values = list(np.linspace(1, 2, n))
    assert sign_flip_test(values, 0.0, 1) == 0.5**n
    assert sign_flip_test(values, 0.0, 2) == 2 * 0.5**n


def test_many_seeds_take_the_normal_approximation_of_the_sign_flips():
    values = list(np.random.default_rng(0).normal(0.2, 1, 17))
    exact = sign_flip_test(values[:16], 0.0, 2)
    assert sign_flip_test(values[:16] + [0.0], 0.0, 2) == pytest.approx(exact, abs=0.02)


def test_equivalence_by_two_one_sided_tests():
    low = stats.ttest_1samp(VALUES, -1.5, alternative="greater").pvalue
    high = stats.ttest_1samp(VALUES, 1.5, alternative="less").pvalue
    assert within_margin(VALUES, 1.5) == pytest.approx(max(low, high), rel=1e-9)
    assert within_margin([0.0] * 6, 0.1) == 0.0


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, then 0.03 x 2 is smaller than before and takes 0.06, 0.5 x 1."""
    p = {"c": 0.03, "a": 0.01, "d": 0.5, "b": 0.02}
    assert holm(p) == pytest.approx({"c": 0.06, "a": 0.04, "d": 0.5, "b": 0.06})
    assert holm({"a": 0.4, "b": 0.6}) == {"a": 0.8, "b": 0.8}
    assert holm({}) == {}


RISE = Rule("greater", margin=0.5)


@pytest.mark.parametrize(
    ("differences", "rule", "verdict"),
    [
        ([1.0, 1.2, 0.9, 1.1, 1.0, 0.8], RISE, SUPPORTED),
        ([1.0, 1.2, 0.9, 1.1, 1.0], RISE, NOT_DECIDED),  # five seeds: two sides need six
        ([1.0, 1.2, 0.9, 1.1, 1.0], Rule("greater", 0.5, sides=1), SUPPORTED),
        ([-1.0, -1.2, -0.9, -1.1, -1.0, -0.8], RISE, CONTRADICTED),
        ([-1.0, -1.2, -0.9, -1.1, -1.0, -0.8], Rule("less", 0.5), SUPPORTED),
        ([-1.0, -1.2, -0.9, -1.1, -1.0, -0.8], Rule("greater", 0.5, sides=1), NOT_DECIDED),
        ([0.1, -0.1, 0.05, 0.0, -0.05, 0.02], RISE, NO_EFFECT),
        ([0.1, 0.12, 0.09, 0.11, 0.1, 0.08], RISE, NO_EFFECT),  # real, and too small to matter
        ([2.0, -1.5, 0.5, 1.0, -0.5, 0.1], RISE, NOT_DECIDED),
        ([0.0] * 6, RISE, NO_EFFECT),  # a switch that is not connected
        ([0.0] * 6, Rule("greater", 0.0, threshold=1.0), CONTRADICTED),
        ([94.2, 94.1, 94.3, 94.2, 94.1, 94.2], Rule("greater", 0.0, threshold=94.0), SUPPORTED),
        ([93.2, 93.8, 93.3, 93.2, 93.1, 93.9], Rule("greater", 0.0, threshold=94.0), CONTRADICTED),
    ],
)
def test_verdicts(differences, rule, verdict):
    assert judge(differences, rule).verdict == verdict


def test_ratios_are_compared_by_their_logarithms():
    """A claim of 14 times: a factor of about 3 is faster, but contradicts it."""
    differences = [math.log(x) for x in (2.9, 3.1, 3.0, 3.2, 2.8, 3.0)]
    claim = Rule("greater", margin=1.2, threshold=14.0, ratio=True)
    assert judge(differences, claim).verdict == CONTRADICTED
    plain = judge(differences, Rule("greater", margin=1.2, ratio=True))
    assert plain.verdict == SUPPORTED
    assert math.exp(plain.effect.mean) == pytest.approx(3.0, rel=0.01)


def test_the_effect_keeps_its_sign_and_agreement_counts_the_claims_side():
    effect = judge([-1.0, -2.0, 0.5, -1.5, -0.5, -1.0], Rule("less", 0.5)).effect
    assert (effect.n, effect.agree) == (6, 5 / 6)
    assert effect.mean == pytest.approx(-5.5 / 6)
    assert effect.low < effect.mean < effect.high < 0.5


@pytest.mark.parametrize("rule", [RISE, Rule("less", 0.5), Rule("greater", 0.5, sides=1)])
@pytest.mark.parametrize("effect", [0.0, 0.2, 0.8])
def test_the_seeds_that_are_named_decide_and_one_fewer_do_not(rule, effect):
    """Differences of the same mean and deviation, however many."""

    def differences(n):
        values = np.linspace(-1, 1, n)
        values = (values - values.mean()) / values.std(ddof=1)
        return values * 1.0 + (effect if rule.direction == "greater" else -effect)

    needed = seeds_needed(effect, 1.0, 0.0, rule)
    assert needed > rule.least_seeds

    def decided(n):
        return judge(list(differences(n)), rule).verdict != NOT_DECIDED

    assert decided(needed + 1)
    assert not decided(needed - 2)


def verdicts(effect, deviation, n, rule, seed=0):
    """{verdict: its share} over draws from a normal population of known effect."""
    values = np.random.default_rng(seed).normal(effect, deviation, (DRAWS, n))
    results = [judge(list(row), rule).verdict for row in values]
    return {verdict: results.count(verdict) / DRAWS for verdict in set(results)}


@pytest.mark.parametrize("n", [6, 10])
def test_without_an_effect_false_verdicts_stay_under_five_per_cent(n):
    """Noise as large as the margin: support and contradiction are both false."""
    shares = verdicts(0.0, 0.5, n, RISE)
    assert shares.get(SUPPORTED, 0) + shares.get(CONTRADICTED, 0) <= 0.05
    one_sided = verdicts(0.0, 0.5, n, Rule("greater", 0.5, sides=1))
    assert one_sided.get(SUPPORTED, 0) <= 0.05
    assert CONTRADICTED not in one_sided


def test_an_effect_as_large_as_the_margin_is_seldom_called_none():
    for sides in (1, 2):
        shares = verdicts(0.5, 0.3, 8, Rule("greater", 0.5, sides=sides))
        assert shares.get(NO_EFFECT, 0) + shares.get(CONTRADICTED, 0) <= 0.055
        assert shares[SUPPORTED] > 0.8


def test_a_small_noise_around_zero_is_confirmed_as_no_effect():
    assert verdicts(0.0, 0.1, 6, RISE)[NO_EFFECT] > 0.99


def test_a_family_of_true_nulls_holds_a_false_one_in_five_per_cent_of_cases():
    draws = np.random.default_rng(1).normal(0.0, 1.0, (300, 20, 6))
    false = 0
    for family in draws:
        p = {str(i): t_test(list(values), 0.0, 2) for i, values in enumerate(family)}
        false += min(holm(p).values()) < 0.05
    assert false / 300 <= 0.08  # 5 % and three standard errors of 300 families


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"direction": "up", "margin": 1}, "direction"),
        ({"direction": "less", "margin": 1, "sides": 3}, "sides"),
        ({"direction": "less", "margin": -1}, "margin"),
        ({"direction": "less", "margin": 0.0}, "margin is needed"),
        ({"direction": "less", "margin": 0.5, "ratio": True}, "margin"),
        ({"direction": "less", "margin": 1.1, "ratio": True, "threshold": 0}, "threshold"),
    ],
)
def test_a_rule_that_could_say_nothing_is_refused(fields, word):
    with pytest.raises(ValueError, match=word):
        Rule(**fields)
