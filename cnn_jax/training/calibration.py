"""Whether confidence is probability, and how much can be answered at what risk.

Confidence is the largest of an example's class probabilities. The error by bins and the temperature
are those of Guo et al., "On calibration of modern neural networks", ICML 2017; risk by coverage is
that of Geifman & El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017. All
in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Int

BINS = 15  # of confidence, as Guo et al. have them
COVERAGES = 20  # of which the risk is reported
TEMPERATURES = (0.01, 100.0)  # between which one is looked for
CLOSE = 1e-8  # of the temperature, relative

Logits = Float[np.ndarray, "n k"]
Labels = Int[np.ndarray, " n"]


def calibration(logits: Logits, labels: Labels, temperature: float = 1.0) -> dict[str, Any]:
    """The figures of the probabilities softmax(logits / temperature).

    "nll" is the mean of -log p of the true class, "brier" of sum_k (p_k - [k is true])^2; "ece" is
    the mean distance of accuracy from confidence over "bins" of equal width, each by its examples.
    "coverage" has the share of mistakes ("risk") among the most confident examples alone,
    "risk_area" its mean over all numbers of them.
    """
    shares = softmax(logits / temperature)
    confidence, hit = shares.max(-1), logits.argmax(-1) == labels
    own = np.zeros_like(shares)
    own[np.arange(len(labels)), labels] = 1
    bins = reliability(confidence, hit)
    risks = risk_by_coverage(confidence, hit)
    kept = [-(-len(hit) * i // COVERAGES) for i in range(1, COVERAGES + 1)]
    ordered = np.sort(confidence)[::-1]
    return {
        "ece": sum(abs(b["accuracy"] - b["confidence"]) * b["examples"] for b in bins) / len(hit),
        "nll": log_loss(logits / temperature, labels),
        "brier": float(np.square(shares - own).sum(-1).mean()),
        "risk_area": float(risks.mean()),
        "bins": bins,
        "coverage": [
            {"examples": n, "risk": float(risks[n - 1]), "confidence": float(ordered[n - 1])}
            for n in kept
        ],
    }


def softmax(logits: Logits) -> Logits:
    """Class probabilities, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def log_loss(logits: Logits, labels: Labels) -> float:
    """The mean of -log softmax(logits) of the label."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(shifted).sum(-1)) - own))


def reliability(confidence: np.ndarray, hit: np.ndarray) -> list[dict[str, float]]:
    """Accuracy and mean confidence of each bin [low, high); 0 of one without examples."""
    numbers = np.minimum((confidence * BINS).astype(int), BINS - 1)  # the last has its end
    counts = np.bincount(numbers, minlength=BINS)
    sums = [np.bincount(numbers, weights, BINS) for weights in (confidence, hit)]
    means = [total / np.maximum(counts, 1) for total in sums]
    return [
        {
            "low": i / BINS,
            "high": (i + 1) / BINS,
            "examples": int(counts[i]),
            "confidence": float(means[0][i]),
            "accuracy": float(means[1][i]),
        }
        for i in range(BINS)
    ]


def risk_by_coverage(confidence: np.ndarray, hit: np.ndarray) -> Float[np.ndarray, " n"]:
    """[n - 1]: the share of mistakes among the n most confident; ties have their mean."""
    _, group = np.unique(-confidence, return_inverse=True)
    mistakes = np.bincount(group, ~hit) / np.bincount(group)
    return np.cumsum(mistakes[np.sort(group)]) / np.arange(1, len(hit) + 1)


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """What the logits are divided by for the least log loss, within `TEMPERATURES`.

    The loss is convex in the inverse, b: its slope, the mean of E[z] - z_label over softmax(b z),
    rises with b, and its root is closed in on by Newton's steps within two bounds.
    """
    z = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    own = z[np.arange(len(labels)), labels].mean()
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]
    inverse = 1.0
    while high - low > CLOSE * high:
        shares = softmax(inverse * z)
        mean = (shares * z).sum(-1)
        slope = mean.mean() - own
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        curvature = ((shares * np.square(z)).sum(-1) - np.square(mean)).mean()
        step = inverse - slope / curvature if curvature > 0 else 0.0
        if abs(step - inverse) <= CLOSE * inverse and low <= step <= high:
            return float(1 / step)
        inverse = step if low < step < high else np.sqrt(low * high)
    return float(1 / inverse)
