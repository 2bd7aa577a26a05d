"""Calibration against a few lines of NumPy, by hand, and against another library."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from cnn_jax.data.dataset import Task
from cnn_jax.runtime import report as report_text
from cnn_jax.train import train_and_evaluate
from cnn_jax.training import reporting
from cnn_jax.training.calibration import (
    BINS,
    TEMPERATURES,
    calibration,
    fit_temperature,
    log_loss,
    risk_by_coverage,
    softmax,
)


@pytest.fixture
def drawn():
    """(logits float32 [600, 7], labels): the labels are drawn from softmax(logits / 2.5)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, (600, 7)).astype(np.float32)
    noise = rng.gumbel(size=logits.shape)
    return logits, (logits / 2.5 + noise).argmax(-1)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_figures_are_those_of_ten_lines(drawn, temperature):
    logits, labels = drawn
    found = calibration(logits, labels, temperature)
    p = np.exp(logits.astype(np.float64) / temperature)
    p /= p.sum(1, keepdims=True)
    n = len(labels)
    edges = np.linspace(0, 1, BINS + 1)
    ece = 0.0
    for low, high, own in zip(edges[:-1], edges[1:], found["bins"], strict=True):
        inside = (p.max(1) >= low) & (p.max(1) < high)
        assert own["examples"] == inside.sum()
        if inside.any():
            accuracy = (p.argmax(1) == labels)[inside].mean()
            assert own["accuracy"] == pytest.approx(accuracy, rel=1e-12)
            assert own["confidence"] == pytest.approx(p.max(1)[inside].mean(), rel=1e-6)
            ece += inside.sum() / n * abs(accuracy - p.max(1)[inside].mean())
    assert found["ece"] == pytest.approx(ece, abs=1e-7)
    assert found["nll"] == pytest.approx(-np.log(p[np.arange(n), labels]).mean(), rel=1e-6)
    brier = sum(((p[i] - np.eye(7)[labels[i]]) ** 2).sum() for i in range(n)) / n
    assert found["brier"] == pytest.approx(brier, rel=1e-6)
    order = np.argsort(-p.max(1))
    wrong = (p.argmax(1) != labels)[order]
    risks = [wrong[:k].mean() for k in range(1, n + 1)]
    assert found["risk_area"] == pytest.approx(np.mean(risks), rel=1e-9)
    assert [point["examples"] for point in found["coverage"]] == list(range(30, 601, 30))
    expected = [risks[point["examples"] - 1] for point in found["coverage"]]
    np.testing.assert_allclose([point["risk"] for point in found["coverage"]], expected, 1e-9)


def test_by_hand():
    """Half of the answers with confidence 0.9 are right, all of those with 0.6: 0.4 and 0.4."""
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1])
    found = calibration(np.log(shares), labels)
    assert found["ece"] == pytest.approx(0.4)
    assert found["nll"] == pytest.approx(-np.log(0.9 * 0.1 * 0.6 * 0.6) / 4)
    assert found["brier"] == pytest.approx((2 * 0.01 + 2 * 0.81 + 4 * 0.16) / 4)
    sure = calibration(np.array([[0.0, -200], [-200, 0]]), np.array([0, 1]))
    assert [sure[k] for k in ("ece", "nll", "brier", "risk_area")] == pytest.approx([0] * 4)
    assert sure["bins"][-1]["examples"] == 2  # confidence 1 is of the last bin


def test_coverage_is_rounded_up_to_whole_examples():
    found = calibration(np.random.default_rng(0).normal(size=(7, 3)), np.zeros(7, int))
    kept = [point["examples"] for point in found["coverage"]]
    assert kept == [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 7]


def test_ties_have_the_mean_of_their_orders():
    confidence = np.array([0.5, 0.9, 0.5, 0.5])
    hit = np.array([True, True, False, False])
    risks = risk_by_coverage(confidence, hit)
    np.testing.assert_allclose(risks, [0, 2 / 3 / 2, 4 / 3 / 3, 2 / 4])
    np.testing.assert_array_equal(risks, risk_by_coverage(confidence[::-1], hit[::-1]))


def test_temperature_makes_the_loss_least(drawn):
    logits, labels = drawn
    found = fit_temperature(logits, labels)
    around = found * np.geomspace(0.99, 1.01, 41)
    losses = [log_loss(logits / t, labels) for t in around]
    assert int(np.argmin(losses)) == 20
    assert found == pytest.approx(2.5, rel=0.1)
    assert fit_temperature(3 * logits.astype(np.float64), labels) == pytest.approx(3 * found)
    assert fit_temperature(logits + 1000, labels) == pytest.approx(found, rel=1e-3)
    coldest, hottest = TEMPERATURES
    assert fit_temperature(logits, logits.argmax(-1)) == pytest.approx(coldest, rel=1e-6)
    assert fit_temperature(logits, logits.argmin(-1)) == pytest.approx(hottest, rel=1e-6)


def test_a_second_opinion(drawn):
    relplot = pytest.importorskip("relplot", reason="pip install relplot")
    logits, labels = drawn
    for temperature in (1.0, fit_temperature(logits, labels)):
        pair = relplot.multiclass_logits_to_confidences(logits / temperature, labels)
        theirs = relplot.metrics.binnedECE(*pair, nbins=BINS)
        assert calibration(logits, labels, temperature)["ece"] == pytest.approx(theirs, abs=1e-3)


@pytest.mark.heavy
def test_report_and_picture(tiny, tmp_path):
    """The log loss is the report's; the temperature is fitted on validation and told."""
    result = train_and_evaluate(tiny, str(tmp_path))
    found = json.loads((tmp_path / "report.json").read_text())["calibration"]
    assert found == result["calibration"]
    assert found["nll"] == pytest.approx(result["loss"], rel=1e-6)
    assert sum(b["examples"] for b in found["bins"]) == result["examples"]
    assert found["coverage"][-1]["risk"] == pytest.approx(1 - result["accuracy"])
    assert found["scaled"]["fitted_on"] == "validation"
    assert found["scaled"]["temperature"] != 1
    assert (tmp_path / "calibration.png").stat().st_size > 5000
    lines = report_text.as_text(result).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("calibration: error 0."))
    assert lines[at + 1].startswith(f"temperature {found['scaled']['temperature']:.3f}: error 0.")
    assert lines[at + 2] == "(the temperature that fits validation best)"


@pytest.mark.heavy
def test_what_cannot_be_calibrated(monkeypatch, tiny, tmp_path):
    """Numbers, outputs that are not finite, and more outputs than are kept."""
    of = reporting.calibration_of
    examples = {"outputs": np.zeros((3, 2), np.float32), "label": np.array([0, 1, 1])}
    classes = Task("classification", ("a", "b"))
    assert of(classes, examples, None)["calibration"]["nll"] == pytest.approx(np.log(2))
    assert of(Task("regression"), examples, None) == {}
    assert of(classes, examples | {"outputs": np.full((3, 2), np.nan)}, None) == {}
    assert "scaled" not in of(classes, examples, ("validation", {}))["calibration"]
    monkeypatch.setattr(reporting, "MOST_OUTPUTS", 100)
    assert "calibration" not in train_and_evaluate(tiny, str(tmp_path))


def test_the_temperature_is_fitted_on_validation_and_used_on_the_split(drawn, monkeypatch):
    logits, labels = drawn
    parts = {
        name: {"outputs": logits[rows], "label": labels[rows]}
        for name, rows in (("test", slice(300)), ("validation", slice(300, 600)))
    }
    monkeypatch.setattr(reporting, "fits_in_memory", lambda *_: True)
    dataset = SimpleNamespace(task=Task("classification", tuple("abcdefg")), validation=[0])
    evaluator = lambda name, _: lambda state, keep_outputs: parts[name]  # noqa: E731
    experiment = SimpleNamespace(evaluator=evaluator, protocol=None, dataset=dataset)
    examples, scaled_on = reporting.evaluated(experiment, None, "test")
    found = reporting.calibration_of(dataset.task, examples, scaled_on)["calibration"]
    temperature = fit_temperature(logits[300:], labels[300:])
    assert found["scaled"]["temperature"] == temperature
    assert found["scaled"]["nll"] == log_loss(logits[:300] / temperature, labels[:300])
    assert found["nll"] == log_loss(logits[:300], labels[:300])
    assert reporting.evaluated(experiment, None, "validation")[1][1] is parts["validation"]
    dataset.validation = []
    assert reporting.evaluated(experiment, None, "test")[1] is None


def test_softmax_is_stable():
    np.testing.assert_allclose(softmax(np.array([[1e4, 1e4]], np.float32)), [[0.5, 0.5]])
