"""What a simple classifier reads from features: linear and nearest-neighbour probes."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

# Inverse strengths of the L2 penalty, on features of mean 0 and deviation 1 (Alain & Bengio 2016
# give the idea of probing every layer; the grid is ours).
STRENGTHS = tuple(10.0**power for power in range(-5, 3))
NEIGHBOURS = (1, 3, 5, 10, 20)
SINGLE_THREAD_SIZE = 2_000_000  # numbers
LabelledFeatures = tuple[np.ndarray, np.ndarray]  # features [N, D], labels [N]


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """How well a probe does, and the constant that the validation split chose."""

    chosen: float  # the inverse strength C, or the number of neighbours
    validation: float  # accuracy
    accuracy: float  # on the test split
    macro: float  # mean of the classes' recalls there


def linear_probe(
    train: LabelledFeatures,
    validation: LabelledFeatures,
    test: LabelledFeatures,
    strengths: Sequence[float] = STRENGTHS,
) -> ProbeResult:
    """Multinomial logistic regression on standardised features, by L-BFGS.

    Of several strengths as good on the validation split, the strongest penalty is taken. The
    test split is looked at once.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    (x, y), (x_val, y_val), (x_test, y_test) = standardise(train, validation, test)
    model = LogisticRegression(max_iter=500, warm_start=True)
    best_score, best_strength, predicted = -1.0, 0.0, y_test
    for strength in sorted(strengths):  # each begins where a stronger penalty ended
        model.set_params(C=strength)
        with warnings.catch_warnings(), limit_threads(x):
            warnings.simplefilter("ignore", ConvergenceWarning)  # the weakest penalties, at times
            model.fit(x, y)
        score = accuracy(model.predict(x_val), y_val)
        if score > best_score:
            best_score, best_strength, predicted = score, strength, model.predict(x_test)
    test_scores = accuracy(predicted, y_test), macro_recall(predicted, y_test)
    return ProbeResult(best_strength, best_score, *test_scores)


def neighbour_probe(
    train: LabelledFeatures,
    validation: LabelledFeatures,
    test: LabelledFeatures,
    counts: Sequence[int] = NEIGHBOURS,
) -> ProbeResult:
    """The vote of the nearest training examples by cosine, as many as validation prefers."""
    from sklearn.neighbors import KNeighborsClassifier

    best_score, best_count, best_model = -1.0, 0, None
    for count in [n for n in counts if n <= len(train[1])]:
        model = KNeighborsClassifier(count, metric="cosine", algorithm="brute").fit(*train)
        score = accuracy(model.predict(validation[0]), validation[1])
        if score > best_score:
            best_score, best_count, best_model = score, count, model
    assert best_model is not None  # a training example there always is
    predicted = best_model.predict(test[0])
    test_scores = accuracy(predicted, test[1]), macro_recall(predicted, test[1])
    return ProbeResult(best_count, best_score, *test_scores)


def standardise(train: LabelledFeatures, *others: LabelledFeatures) -> list[LabelledFeatures]:
    """Each feature with mean 0 and deviation 1 over the training split; constant ones are 0."""
    mean, deviation = train[0].mean(0), train[0].std(0)
    scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), 1 / np.maximum(deviation, 1e-30), 0)
    return [((x - mean) * scale, y) for x, y in (train, *others)]


def limit_threads(x: np.ndarray) -> contextlib.AbstractContextManager:
    """One thread for a small matrix, where handing out the work costs more than doing it."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1 if x.size < SINGLE_THREAD_SIZE else None)


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(predicted == labels))


def macro_recall(predicted: np.ndarray, labels: np.ndarray) -> float:
    """The mean over classes of the share of a class that is found."""
    return float(np.mean([np.mean(predicted[labels == c] == c) for c in np.unique(labels)]))
