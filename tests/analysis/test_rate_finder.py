"""The range test: its steps are those of a training, and curves of known form are read rightly."""

from types import SimpleNamespace

import numpy as np
import pytest

from cnn_jax.analysis import rate_finder
from cnn_jax.analysis.rate_finder import RangeTest, RateFinder
from cnn_jax.errors import UserError
from cnn_jax.tools import find_lr
from cnn_jax.training import metrics
from cnn_jax.training.experiment import make_experiment


@pytest.fixture
def sgd(tiny):
    tiny.optimizer.name = "sgd"
    tiny.schedule.name = "constant"
    return tiny


@pytest.mark.heavy
def test_steps_are_those_of_a_training_at_that_rate(sgd):
    finder = RateFinder(sgd, 4)
    sgd.optimizer.learning_rate = 0.5
    experiment = make_experiment(sgd, finder.experiment.dataset)
    expected = []
    with experiment.step_loop(last_step=4) as steps:
        for _ in steps:
            total, count = metrics.sums(steps.carry.metrics)["loss"]
            expected.append(total / count)
            empty = experiment.compiled.empty_metrics()
            steps.carry = steps.carry._replace(metrics=empty)
    assert finder.losses_at(0.5).tolist() == expected
    assert finder.losses_at(0.5).tolist() == expected  # from the start again
    assert finder.losses_at(0.01).tolist() != expected
    assert sgd.schedule.name == "constant"  # the caller's config stays as it is


def test_a_loss_that_blows_up_ends_the_test(sgd):
    result = RateFinder(sgd, 40).range_test(1e-3, 1e12)
    assert 5 < len(result.losses) < 40
    assert np.isfinite(result.losses).all()
    assert result.rates[1] / result.rates[0] == pytest.approx(1e15 ** (1 / 39))
    assert result.rates[0] == 1e-3


def valley(noise=0.0):
    """Loss 2 up to a rate of 1e-4, falling to 0.5 at 1e-2, rising to 2 at 1e-1."""
    rates = np.logspace(-6, 0, 301)
    losses = np.interp(np.log10(rates), [-4, -2, -1, 0], [2, 0.5, 2, 8])
    return RangeTest(rates, losses + noise * np.random.default_rng(0).normal(size=301))


def test_a_known_valley():
    for found in (valley(), valley(0.05)):
        assert found.lowest == pytest.approx(1e-2, rel=0.3)
        assert found.suggested == pytest.approx(1e-2 / 3, rel=0.3)
        assert found.diverging == pytest.approx(10**-1.5, rel=0.2)  # half of the way up
        assert found.learns
    text = find_lr.in_words(valley())
    assert text.splitlines()[1].startswith("suggested: --config.optimizer.learning_rate=0.00")
    rates = find_lr.trend_rates(valley())
    assert list(rates) == ["too low", "good", "too high", "diverging"]
    assert sorted(rates.values()) == list(rates.values())
    assert rates["diverging"] > valley().diverging > rates["too high"] > valley().lowest


def test_a_net_that_ends_at_chance_diverges():
    """From 4.2 to 2.1, and back to 2.45 alone: less than half of its fall, but worse than ln 10."""
    rates = np.logspace(-6, 0, 301)
    losses = np.interp(np.log10(rates), [-4, -2, -1, 0], [4.2, 2.1, 2.45, 2.45])
    assert RangeTest(rates, losses).diverging is None
    found = RangeTest(rates, losses, np.log(10))
    crossing = -2 + (np.log(10) - 2.1) / 0.35
    assert np.log10(found.diverging) == pytest.approx(crossing, abs=0.05)
    above = RangeTest(rates, losses + 1, np.log(10))  # never better than chance
    assert above.diverging is None


def test_chance_is_that_of_the_loss(sgd):
    assert RateFinder(sgd, 4).range_test(1e-3, 1e-2).chance == np.log(10)
    sgd.loss.name = "mean_squared"
    assert RateFinder(sgd, 4).range_test(1e-3, 1e-2).chance == np.inf
    sgd.loss.name, sgd.loss.auxiliary_weights = "softmax_cross_entropy", (0.3,)
    assert rate_finder.chance_loss(SimpleNamespace(config=sgd)) == np.inf


def test_four_times_the_first_loss_ends_the_test(sgd, monkeypatch):
    finder = RateFinder(sgd, 5)
    monkeypatch.setattr(rate_finder, "train_at", lambda *_: iter([1.0, 3.0, 3.9, 4.1, 9.0]))
    result = finder.range_test(1e-4, 1.0)
    assert result.losses.tolist() == [1.0, 3.0, 3.9]
    np.testing.assert_allclose(result.rates, [1e-4, 1e-3, 1e-2])
    monkeypatch.setattr(rate_finder, "train_at", lambda *_: iter([np.nan]))
    with pytest.raises(UserError, match=r"not finite at the first step, at a rate of 0.0001$"):
        finder.range_test(1e-4, 1.0)
    assert finder.losses_at(0.1).tolist() == []


def test_smoothing_does_not_lag():
    """A running mean would put the lowest point later."""
    result = valley()
    step = np.zeros_like(result.losses)
    step[150:] = 1
    smoothed = RangeTest(result.rates, step).smoothed
    np.testing.assert_allclose(smoothed[149] + smoothed[150], 1, atol=1e-6)
    assert (np.diff(smoothed) >= -1e-12).all()


def test_nothing_learnt_is_said():
    flat = RangeTest(np.logspace(-6, -5, 50), 2 + 0.1 * np.random.default_rng(1).normal(size=50))
    assert not flat.learns
    low = valley()
    low = RangeTest(low.rates[:201], low.losses[:201])
    assert "lowest at 0.01; nowhere diverging: try a higher --last\n" in find_lr.in_words(low)
    assert f"; diverging from {valley().diverging:.2g} on\n" in find_lr.in_words(valley())
    assert find_lr.in_words(flat).startswith("nothing is learnt at rates from 1e-06 to 1e-05: ")


def test_a_moving_mean_has_four_neighbours_a_side():
    found = find_lr.moving_mean(np.arange(12.0) ** 2)
    own = np.arange(12.0) ** 2
    np.testing.assert_allclose(
        found[[0, 5, 11]], [own[:5].mean(), own[1:10].mean(), own[7:].mean()]
    )


def test_picture(tmp_path):
    trends = {"good": (1e-3, np.linspace(2, 1, 30)), "diverging": (1.0, np.array([2.0, 9, 40]))}
    find_lr.draw(valley(0.05), trends, "title", tmp_path / "rates.png")
    assert (tmp_path / "rates.png").stat().st_size > 5000


def test_frozen_stages_are_refused(tiny):
    tiny.freeze = ("hidden1",)
    with pytest.raises(UserError, match=r"^freeze: the range test is of a net that trains as a"):
        RateFinder(tiny, 4)
