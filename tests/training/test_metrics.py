"""Figures against NumPy and scikit-learn, ties and bad numbers included."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import top_k_accuracy_score

from cnn_jax.data.dataset import Task
from cnn_jax.runtime.report import as_text
from cnn_jax.training import metrics

TEN = Task("classification", tuple("0123456789"))


def examples(logits, labels):
    found = metrics.example_figures(TEN, jnp.asarray(logits), jnp.asarray(labels))
    found = {name: np.asarray(value) for name, value in found.items()}
    return found | {"loss": np.zeros(len(labels)), "label": labels}


def test_top1_and_top5_equal_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 10)).astype(np.float32), rng.integers(0, 10, 200)
    found = metrics.summarise(TEN, examples(logits, labels))
    assert found["accuracy"] == np.mean(logits.argmax(-1) == labels)
    assert found["top5_accuracy"] == top_k_accuracy_score(labels, logits, k=5)


def test_ties_go_to_the_lower_class_as_in_argmax():
    logits, labels = np.zeros((10, 10), np.float32), np.arange(10)
    found = examples(logits, labels)
    assert found["rank"].tolist() == list(range(10))
    assert metrics.summarise(TEN, found)["accuracy"] == 0.1


def test_logits_that_are_not_finite_are_never_right():
    logits = np.zeros((2, 10), np.float32)
    logits[0, 3], logits[1, 0] = np.nan, np.inf
    found = examples(logits, np.array([0, 0]))
    assert found["rank"].tolist() == [10, 10]


def test_report_by_class_and_confusion_matrix():
    task = Task("classification", ("cat", "dog"))
    found = {
        "label": np.array([0, 0, 0, 1]),
        "prediction": np.array([0, 1, 1, 1]),
        "rank": np.array([0, 1, 1, 0]),
        "loss": np.array([1.0, 2.0, 3.0, 4.0]),
    }
    report = metrics.report(task, found)
    assert report["confusion_matrix"] == [[1, 2], [0, 1]]
    assert report["classes"]["cat"]["precision"] == 1.0
    assert report["classes"]["cat"]["recall"] == 1 / 3
    assert report["macro_average"]["recall"] == (1 / 3 + 1) / 2
    assert report["loss"] == 2.5
    assert report["accuracy"] == 0.5
    assert "top5_accuracy" not in report


@pytest.mark.parametrize(("hits", "count"), [(0, 10), (9, 12), (352, 359), (12, 12)])
def test_intervals_are_wilsons(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    found = metrics.wilson_interval(hits / count, count)
    np.testing.assert_allclose(found, [expected.low, expected.high], atol=1e-12)
    assert metrics.half_width(hits / count, count) == (found[1] - found[0]) / 2
    assert metrics.wilson_interval(0.0, 0) == [0.0, 1.0]


def test_every_accuracy_of_a_report_has_its_interval():
    label = np.array([0] * 9 + [1] * 3)
    predicted = np.where(np.arange(12) < 8, label, 1)
    found = {"label": label, "prediction": predicted, "rank": label != predicted}
    result = metrics.report(Task("classification", ("a", "b")), found | {"loss": np.zeros(12)})
    assert result["accuracy_interval"] == metrics.wilson_interval(11 / 12, 12)
    assert result["classes"]["a"]["recall_interval"] == metrics.wilson_interval(8 / 9, 9)
    lines = as_text({"split": "test", "protocol": "single_crop", **result}).splitlines()
    assert lines[0].endswith("accuracy 0.9167 (0.6461 to 0.9851)")
    assert lines[3].endswith("9     (0.5650 to 0.9801)")


def test_the_largest_losses_are_named_in_order():
    task = Task("classification", ("cat", "dog"))
    found = {
        "label": np.array([0, 1, 1, 0]),
        "prediction": np.array([0, 0, 1, 1]),
        "loss": np.array([-0.0, 3.0, np.nan, 3.0]),
    }
    rows = metrics.top_losses(task, found, "abcd".__getitem__)
    assert [row["image"] for row in rows] == ["c", "b", "d", "a"]
    assert rows[1] == {"image": "b", "row": 1, "label": "dog", "predicted": "cat", "loss": 3.0}
    assert str(rows[3]["loss"]) == "0.0"
    number = Task("regression", unit="degrees")
    assert metrics.top_losses(number, found, str)[1]["predicted"] == 0.0


def test_classes_may_be_called_as_rows_of_a_report_are():
    names = ("accuracy", "macro avg", "weighted avg", "macro average", "none")
    label, predicted = np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 1, 2, 3, 4])
    found = {"label": label, "prediction": predicted, "rank": label != predicted, "loss": label}
    named, plain = (
        metrics.report(Task("classification", tuple(classes)), found)
        for classes in (names, "abcde")
    )
    assert tuple(named["classes"]) == names
    for key in ("macro_average", "weighted_average", "confusion_matrix"):
        assert named[key] == plain[key]
    assert list(named["classes"].values()) == list(plain["classes"].values())
    assert named["macro_average"] == {  # over the four classes that there are
        "precision": (1 + 0.5 + 1 + 1) / 4,
        "recall": (0.5 + 1 + 1 + 0.5) / 4,
        "f1-score": (2 / 3 + 2 / 3 + 1 + 2 / 3) / 4,
        "support": 6.0,
    }
    table = as_text({"split": "test", "protocol": "single_crop", **named}).splitlines()
    assert table.count("") == 3
    assert "test has no example of 1 of 5 classes (none): the macro average is over the others" in (
        table
    )


def test_regression_figures():
    task = Task("regression", unit="degrees", mean=10.0, std=2.0)
    outputs = jnp.array([[0.0], [1.0], [-1.0]])
    labels = np.array([9.0, 12.0, 12.0])
    found = {
        "prediction": np.asarray(
            metrics.example_figures(task, outputs, jnp.array(labels))["prediction"]
        )
    }
    np.testing.assert_allclose(found["prediction"], [10, 12, 8])
    error = np.array([1.0, 0.0, -4.0])
    summary = metrics.summarise(task, {**found, "label": labels, "loss": np.zeros(3)})
    np.testing.assert_allclose(summary["mean_absolute_error"], np.abs(error).mean())
    np.testing.assert_allclose(summary["root_mean_squared_error"], np.sqrt((error**2).mean()))
    np.testing.assert_allclose(summary["r2"], 1 - (error**2).sum() / ((labels - 11) ** 2).sum())


def test_first_bad_step_keeps_the_earliest():
    collection = metrics.train_metrics(["loss", "gradient_norm"])
    running = collection.empty()
    for step, loss, norm in ((1, 1.0, 1.0), (2, 1.0, np.inf), (3, np.nan, 1.0)):
        step_metrics = collection.single_from_model_output(
            step=jnp.int32(step), loss=jnp.array([loss, 1.0]), gradient_norm=jnp.float32(norm)
        )
        running = running.merge(step_metrics)
    assert int(running.first_bad_step.value) == 2
    assert int(collection.empty().first_bad_step.value) == metrics.NEVER
