"""Classes of unequal size: weights against scikit-learn and the paper, orders by their counts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnn_jax import data
from cnn_jax.data.augment import MixedTargets
from cnn_jax.data.dataset import Task
from cnn_jax.data.loading.sampler import BalancedSampler, TrainSampler, balanced_order, batch_rows
from cnn_jax.errors import UserError
from cnn_jax.models.layers import Output
from cnn_jax.training import config_checks, losses
from cnn_jax.training.class_weights import balanced, class_weights, effective_number
from cnn_jax.training.experiment import make_experiment

LABELS = np.repeat(np.arange(3), [50, 5, 1]).astype(np.int32)


def test_balanced_is_scikit_learns():
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    counts = np.bincount(LABELS)
    np.testing.assert_allclose(balanced(counts), expected, rtol=1e-15)
    assert (balanced(counts) * counts).sum() == pytest.approx(len(LABELS))
    np.testing.assert_allclose(balanced(np.array([50, 0, 5, 1])), np.insert(expected, 1, 0))


def test_effective_numbers_are_the_papers():
    counts = np.array([50, 5, 1])
    found = effective_number(counts, 0.9)
    raw = [0.1 / (1 - 0.9**n) for n in (50, 5, 1)]
    np.testing.assert_allclose(found, 3 * np.array(raw) / sum(raw), rtol=1e-12)
    np.testing.assert_array_equal(effective_number(counts, 0.0), [1, 1, 1])
    near = effective_number(counts, 1 - 1e-9)
    np.testing.assert_allclose(near / near[2], [1 / 50, 1 / 5, 1], rtol=1e-6)
    absent = effective_number(np.array([50, 0, 5, 1]), 0.9)
    np.testing.assert_allclose(absent, np.insert(found, 1, 0), rtol=1e-12)


def test_weights_are_of_the_counts_of_training(tiny):
    """One a class of the task, 0 for one that training has none of, whatever test has."""
    tiny.loss.class_weights = "balanced"
    dataset = data.load(tiny.data)
    few = dataset.train.take(np.flatnonzero(dataset.train.labels < 2)[:40])
    found = class_weights(tiny, dataclasses.replace(dataset, train=few))
    zeros, ones = np.bincount(few.labels)
    np.testing.assert_allclose(found, [20 / zeros, 20 / ones, *[0] * 8], rtol=1e-6)


def test_the_loss_of_an_example_is_times_its_weight(tiny):
    task = Task("classification", ("a", "b", "c"))
    weights = np.array([0.5, 2, 3], np.float32)
    tiny.loss.auxiliary_weights = (0.3,)
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    output, labels = Output(logits, (2 * logits,)), jnp.array([0, 1, 2, 1])
    plain, own = losses.make_loss(tiny, task), losses.make_loss(tiny, task, weights)
    expected = np.asarray(plain(output, labels)["loss"]) * [0.5, 2, 3, 2]
    np.testing.assert_allclose(own(output, labels)["loss"], expected, rtol=1e-6)
    mixed = MixedTargets(labels, jnp.array([2, 2, 0, 0]), jnp.full(4, 0.25))
    other = np.asarray(plain(output, mixed.partner)["loss"]) * [3, 3, 0.5, 0.5]
    found = own(output, mixed)["loss"]
    np.testing.assert_allclose(found, 0.25 * expected + 0.75 * other, rtol=1e-6)
    parts = own(output, labels)["auxiliary_loss_1"]
    np.testing.assert_array_equal(parts, plain(output, labels)["auxiliary_loss_1"])


@pytest.mark.heavy
def test_training_is_weighted_and_evaluation_is_not(tiny):
    tiny.loss.class_weights = "given(0, 1, 1, 1, 1, 1, 1, 1, 1, 7)"
    experiment = make_experiment(tiny)
    spec, dataset = experiment.step_spec, experiment.dataset
    labels = jnp.asarray(dataset.train.labels[:50])
    output = Output(jnp.zeros((50, 10)), ())
    found = np.asarray(spec.train_loss(output, labels)["loss"] / spec.loss(output, labels)["loss"])
    expected = np.array([0, *[1] * 8, 7])[np.asarray(labels)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    tiny.loss.class_weights = None
    spec = make_experiment(tiny, dataset).step_spec
    assert spec.train_loss is spec.loss  # the very program of before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "even",
            r"^loss.class_weights='even' is unknown .*; choices: balanced, effective_number, ",
        ),
        ("effective_number(1)", r"'effective_number\(1\)': beta must be >= 0 and < 1$"),
        ("effective_number(-1)", r"arguments must be plain numbers, none negative"),
        ("given(0, 0)", r"name a weight for each class, not all of them 0$"),
        ("given", r"name a weight for each class"),
    ],
)
def test_words_that_mean_nothing(tiny, text, message):
    tiny.loss.class_weights = text
    with pytest.raises(UserError, match=message):
        config_checks.check(tiny)


def test_weights_and_sampler_need_classes(tiny):
    tiny.loss.class_weights = "given(1, 2)"
    with pytest.raises(UserError, match=r"has 2 weights, and digits has 10 classes: give each"):
        make_experiment(tiny)
    tiny.data.name, tiny.model.num_classes, tiny.loss.name = "digits_angle", 1, "mean_squared"
    with pytest.raises(UserError, match=r"^loss.class_weights='given\(1, 2\)': digits_angle has n"):
        make_experiment(tiny)
    tiny.loss.class_weights, tiny.data.sampler = None, "balanced"
    with pytest.raises(UserError, match=r"^data.sampler='balanced': digits_angle has no classes"):
        make_experiment(tiny)
    tiny.data.sampler = "odd"
    with pytest.raises(UserError, match=r"^data.sampler='odd' is unknown; choices: shuffled, bal"):
        config_checks.check(tiny)


def test_every_class_comes_as_often():
    seen = np.zeros(len(LABELS), int)
    for epoch in range(30):
        order = balanced_order(0, epoch, LABELS)
        assert (order.dtype, len(order)) == (np.int32, len(LABELS))
        counts = np.bincount(LABELS[order])
        assert sorted(counts) == [18, 19, 19]  # 56 = 3 * 18 + 2
        rows = np.bincount(order, minlength=len(LABELS))
        for label in range(3):
            own = rows[label == LABELS]
            assert own.max() - own.min() <= 1
        seen += rows
    assert seen.min() > 0  # also of the large class
    in_all = np.bincount(LABELS, weights=seen)
    np.testing.assert_array_equal(in_all, [560, 560, 560])  # the rest goes around
    assert (balanced_order(0, 3, LABELS) == balanced_order(0, 3, LABELS)).all()
    assert (balanced_order(0, 3, LABELS) != balanced_order(1, 3, LABELS)).any()


def test_batches_are_cut_from_the_orders_from_any_step():
    sampler = BalancedSampler(len(LABELS), 20, 10, 1, LABELS)
    stream = np.concatenate([balanced_order(1, epoch, LABELS) for epoch in range(4)])
    for step in (9, 0, 4, 5, 3):
        rows, mask = sampler.rows_at(step)
        np.testing.assert_array_equal(rows, stream[20 * step : 20 * step + 20])
        assert mask.all()
        plain = TrainSampler(len(LABELS), 20, 10, 0).rows_at(step)[0]
        np.testing.assert_array_equal(plain, batch_rows(0, step, 20, len(LABELS)))
    large = BalancedSampler(len(LABELS), 150, 1, 1, LABELS)  # over three epochs
    np.testing.assert_array_equal(large.rows_at(0)[0], stream[:150])


@pytest.mark.heavy
def test_a_run_trains_on_balanced_batches(tiny):
    tiny.data.sampler, tiny.batch_size = "balanced", 200
    experiment = make_experiment(tiny)
    source = experiment.train_loader().batch_at(2)
    batch = source.batch(jnp.int32(2), 200, lambda x: x)
    sampler = experiment.train_loader().sampler
    np.testing.assert_array_equal(
        jax.device_get(batch["id"]), experiment.dataset.train.ids[sampler.rows_at(2)[0]]
    )
    assert isinstance(sampler, BalancedSampler)
