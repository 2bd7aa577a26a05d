"""Losses against NumPy, with smoothing, auxiliary heads and regression targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data.dataset import Task
from cnn_jax.errors import UserError
from cnn_jax.models import Output
from cnn_jax.training.losses import LOSSES, make_loss, smallest_loss

CLASSES = Task("classification", tuple("abc"))
ANGLES = Task("regression", unit="degrees", mean=10.0, std=5.0)
LOGITS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
LABELS = np.array([2, 1])


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def loss_of(config, task, logits, labels, auxiliary=()):
    output = Output(jnp.asarray(logits), tuple(map(jnp.asarray, auxiliary)))
    return make_loss(config, task)(output, jnp.asarray(labels))


def test_softmax_cross_entropy_and_smoothing(tiny):
    plain = loss_of(tiny, CLASSES, LOGITS, LABELS)["loss"]
    np.testing.assert_allclose(plain, -log_softmax(LOGITS)[[0, 1], LABELS], rtol=1e-6)
    tiny.loss.label_smoothing = 0.3
    targets = np.eye(3)[LABELS] * 0.7 + 0.1
    smooth = loss_of(tiny, CLASSES, LOGITS, LABELS)["loss"]
    np.testing.assert_allclose(smooth, -(targets * log_softmax(LOGITS)).sum(-1), rtol=1e-6)


def test_binary_cross_entropy(tiny):
    tiny.loss.name = "binary_cross_entropy"
    p, t = 1 / (1 + np.exp(-LOGITS)), np.eye(3)[LABELS]
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(loss_of(tiny, CLASSES, LOGITS, LABELS)["loss"], expected, rtol=2e-5)


def test_lecun_1998_has_a_rubbish_class(tiny):
    tiny.loss.name = "lecun1998"
    penalties = -LOGITS
    own = penalties[[0, 1], LABELS]
    expected = own + np.log(np.exp(-0.1) + np.exp(-penalties).sum(-1))
    np.testing.assert_allclose(loss_of(tiny, CLASSES, LOGITS, LABELS)["loss"], expected, rtol=1e-6)


@pytest.mark.heavy
def test_lecun_1998_pushes_classes_within_j(tiny):
    """The push on a wrong class at penalty y, the right one at 0: exp(-y) / (exp(-j) + the sum)."""
    tiny.loss.name = "lecun1998"
    for j, pushes in ((None, (0.0664, 0.00352, 1.08e-9)), (24.0, (0.119, 0.00669, 2.06e-9))):
        tiny.loss.j = j
        of = make_loss(tiny, CLASSES)
        for penalty, push in zip((2.0, 5.0, 20.0), pushes, strict=True):
            outputs = jnp.array([[0.0, -penalty]])
            gradient = jax.grad(lambda x, f=of: f(Output(x), jnp.array([0]))["loss"][0])(outputs)
            assert float(gradient[0, 1]) == pytest.approx(push, rel=5e-3), (j, penalty)


def test_j_is_a_constant_of_lecun_1998_alone(tiny):
    tiny.loss.j = 1.0
    with pytest.raises(UserError, match=r"loss\.j=1\.0: loss\.name='softmax_cross_entropy' has"):
        make_loss(tiny, CLASSES)


def test_regression_standardises_its_target(tiny):
    outputs, angles = np.array([[0.5], [-1.0]]), np.array([20.0, 0.0], np.float32)
    error = outputs[:, 0] - (angles - 10) / 5
    for name, expected in (("mean_squared", error**2), ("mean_absolute", np.abs(error))):
        tiny.loss.name = name
        np.testing.assert_allclose(
            loss_of(tiny, ANGLES, outputs, angles)["loss"], expected, rtol=1e-6
        )


def test_each_auxiliary_head_has_its_own_weight(tiny):
    tiny.loss.auxiliary_weights = (0.3, 0.1)
    heads = (LOGITS + [[1, 0, 0]], LOGITS * 2)
    found = loss_of(tiny, CLASSES, LOGITS, LABELS, heads)
    parts = [-log_softmax(x)[[0, 1], LABELS] for x in (LOGITS, *heads)]
    np.testing.assert_allclose(found["auxiliary_loss_1"], parts[1], rtol=2e-5)
    np.testing.assert_allclose(found["auxiliary_loss_2"], parts[2], rtol=2e-5)
    total = parts[0] + 0.3 * parts[1] + 0.1 * parts[2]
    np.testing.assert_allclose(found["loss"], total, rtol=2e-5)


def test_a_head_without_a_weight_is_an_error(tiny):
    with pytest.raises(UserError, match="has 0 entries, but the net has 1 auxiliary heads"):
        loss_of(tiny, CLASSES, LOGITS, LABELS, (LOGITS,))


def test_a_loss_for_classes_does_not_take_numbers(tiny):
    with pytest.raises(UserError, match="choices: mean_squared, mean_absolute"):
        make_loss(tiny, ANGLES)


@pytest.mark.parametrize("name", ["softmax_cross_entropy", "binary_cross_entropy"])
def test_smoothed_labels_leave_a_loss_that_nothing_gets_under(name):
    """The loss of a net that puts out the smoothed target itself."""
    targets = np.full((1, 10), 0.01)
    targets[0, 3] = 0.91
    odds = {"softmax_cross_entropy": targets, "binary_cross_entropy": targets / (1 - targets)}
    expected = float(LOSSES[name](jnp.log(odds[name]), jnp.asarray(targets))[0])
    assert smallest_loss(name, 0.1, 10) == pytest.approx(expected, rel=1e-5)
    assert smallest_loss(name, 0.0, 10) == 0.0
    assert smallest_loss("mean_squared", 0.1, 10) == 0.0
