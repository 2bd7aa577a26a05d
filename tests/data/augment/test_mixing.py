"""Mixup and CutMix: images, shares, losses, and the step that trains on them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import augment
from cnn_jax.data.augment import MixedTargets, mixing
from cnn_jax.data.dataset import Dataset, Split, Task
from cnn_jax.errors import UserError
from cnn_jax.models import Output
from cnn_jax.models.variables import fresh_variables
from cnn_jax.runtime.sharding import Devices
from cnn_jax.training.experiment import make_experiment, make_model
from cnn_jax.training.losses import LOSSES, make_loss
from cnn_jax.training.train_step import gradients, make_step_spec
from tests.support.augment_cases import quick_jit

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (6, 10, 12, 3)).astype(np.float32)
LABELS = jnp.array([3, 1, 4, 1, 5, 0])
KEYS = jax.random.split(jax.random.key(5), 1000)


def mixed(call):
    """(images, targets) of the six images, as NumPy arrays."""
    compiled = quick_jit(augment.compose((call,)))
    images, targets = compiled(jax.random.key(1), jnp.arange(6), jnp.asarray(IMAGES), LABELS)
    assert isinstance(targets, MixedTargets)
    return np.asarray(images), MixedTargets(*map(np.asarray, targets))


def shares(mix, side):
    """A function of alpha: its shares for images of 1 mixed with images of 0, and the images."""
    pair = jnp.stack([jnp.ones((side, side, 1)), jnp.zeros((side, side, 1))])

    def of(alpha):
        images, share = quick_jit(jax.vmap(lambda key: mix(key, pair, alpha)))(KEYS)
        return np.asarray(share, np.float64), np.asarray(images, np.float64)[..., 0]

    return of


def test_mixup_blends_with_the_example_before():
    images, targets = mixed("mixup(1.0)")
    np.testing.assert_array_equal(targets.label, LABELS)
    np.testing.assert_array_equal(targets.partner, np.roll(LABELS, 1))
    share = targets.lam[:, None, None, None]
    wanted = share * IMAGES + (1 - share) * np.roll(IMAGES, 1, 0)
    np.testing.assert_allclose(images, wanted, rtol=1e-5)


@pytest.mark.heavy
def test_mixup_or_cutmix_is_one_of_the_two():
    """By the same draw as the one alone, and each in half of the cases."""
    pair, count = jnp.asarray(IMAGES[:2]), 0
    either = quick_jit(lambda key: mixing.mixup_or_cutmix(key, pair, 0.8, 1.0))
    alone = quick_jit(lambda key: (mixing.mixup(key, pair, 0.8), mixing.cutmix(key, pair, 1.0)))
    for key in KEYS[:200]:
        image, lam = either(key)
        options = alone(jax.random.split(key)[1])
        same = [np.array_equal(image, i) and np.array_equal(lam, own) for i, own in options]
        assert any(same)
        count += same[0]
    assert 70 < count < 130


@pytest.mark.heavy
def test_the_share_of_mixup_is_beta():
    of = shares(mixing.mixup, 1)
    for alpha in (0.2, 2.0):
        share, images = of(alpha)
        np.testing.assert_allclose(images[:, 0, 0], share, atol=1e-6)
        assert abs(share.mean() - 0.5) < 0.04
        np.testing.assert_allclose(share.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.12)


def test_cutmix_pastes_a_rectangle_and_counts_it():
    images, targets = mixed("cutmix(1.0)")
    partner = np.roll(IMAGES, 1, 0)
    pasted = (images == partner).all(-1)
    assert ((images == IMAGES).all(-1) | pasted).all()
    np.testing.assert_allclose(targets.lam, 1 - pasted.mean((1, 2)), atol=1e-6)
    for mask in pasted:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


@pytest.mark.heavy
def test_the_rectangle_of_cutmix_has_the_drawn_area():
    """With so large an alpha that the share, before what is cut off at the rim, is a half."""
    of = shares(mixing.cutmix, 40)
    share, images = of(1000.0)
    np.testing.assert_allclose(images.mean((1, 2)), share, atol=1e-6)
    rim = np.ones((40, 40), bool)
    rim[1:-1, 1:-1] = False
    inside = images[images[:, rim].all(1)] == 0
    assert len(inside) > 30
    sides = np.stack([inside.any(1).sum(1), inside.any(2).sum(1)])
    np.testing.assert_allclose(sides, 40 * np.sqrt(0.5), atol=3)
    assert 0.45 < share.min() < 0.55
    assert 0.8 < share.max() < 0.9  # a corner: a quarter of the half
    share, _ = of(1.0)
    assert 0.98 < share.max() <= 1
    assert share.min() < 0.2


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_both_labels_by_their_share(tiny, name):
    tiny.loss.update({"name": name, "label_smoothing": 0.2, "auxiliary_weights": (0.3,)})
    loss = make_loss(tiny, Task("classification", tuple("abcdef")))
    output = Output(jnp.asarray(RNG.normal(size=(6, 6))), (jnp.asarray(RNG.normal(size=(6, 6))),))
    partner, share = jnp.roll(LABELS, 1), np.linspace(0, 1, 6)
    found = loss(output, MixedTargets(LABELS, partner, jnp.asarray(share, jnp.float32)))
    own, other = loss(output, LABELS), loss(output, partner)
    assert set(found) == {"loss", "auxiliary_loss_1"}
    for key in found:
        wanted = share * own[key] + (1 - share) * other[key]
        np.testing.assert_allclose(found[key], wanted, rtol=1e-5)


def test_softmax_of_mixed_smoothed_targets_by_numpy(tiny):
    tiny.loss.label_smoothing = 0.1
    logits, share = RNG.normal(size=(6, 6)), np.linspace(0, 1, 6)
    partner = np.roll(LABELS, 1)
    loss = make_loss(tiny, Task("classification", tuple("abcdef")))
    targets = MixedTargets(LABELS, jnp.asarray(partner), jnp.asarray(share))
    found = loss(Output(jnp.asarray(logits), ()), targets)["loss"]
    own, other = (0.9 * np.eye(6)[np.asarray(rows)] + 0.1 / 6 for rows in (LABELS, partner))
    targets = share[:, None] * own + (1 - share[:, None]) * other
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(found, -(targets * log_softmax).sum(-1), rtol=1e-5)


def figures(config, **changes):
    """(loss, accuracy) of the first two steps."""
    config = config.copy_and_resolve_references()
    config.update(changes)
    experiment = make_experiment(config)
    values = []
    with experiment.step_loop(last_step=2) as steps:
        for _ in steps:
            running = steps.carry.metrics
            values.append((float(running.loss.compute()), float(running.accuracy.compute())))
            steps.carry = steps.carry._replace(metrics=experiment.compiled.empty_metrics())
    return values


@pytest.mark.heavy
def test_eight_devices_mix_the_whole_batch():
    compiled = quick_jit(augment.compose(("mixup(1.0)",)))
    images, labels, ids = RNG.uniform(size=(16, 2, 2, 1)), np.arange(16), np.arange(16)
    batch = ids, np.float32(images), labels
    one = compiled(jax.random.key(1), *batch)
    split = Devices.create("jit").batch_sharding
    eight = compiled(jax.random.key(1), *[jax.device_put(part, split) for part in batch])
    jax.tree.map(np.testing.assert_array_equal, one, eight)


def test_the_gradient_of_mixed_targets_in_one_and_in_two_parts(mixing_config):
    """The parts share out labels, partners and shares along with the images."""
    shape = (8, 8, 1)
    labels = np.arange(10, dtype=np.int32)
    split = Split(np.zeros((10, *shape), np.uint8), labels, labels)
    task = Task("classification", tuple("abcdefghij"))
    dataset = Dataset("digits", task, split, split, split)
    spec = make_step_spec(mixing_config, make_model(mixing_config), dataset, lambda step: 0.1)
    params = fresh_variables(spec.model, 0, shape)["params"]
    partner, share = jnp.roll(jnp.arange(8), 1), jnp.linspace(0, 1, 8)
    batch = {"image": jnp.asarray(RNG.normal(size=(8, *shape)), jnp.float32)}
    batch |= {"label": jnp.arange(8), "target": MixedTargets(jnp.arange(8), partner, share)}

    @quick_jit
    def all_of(params):
        key = jax.random.key(0)
        trainable = {"params": params, "batch_stats": {}}
        halves = dataclasses.replace(spec, microbatches=2)
        one = gradients(spec, trainable, None, batch, key)
        two = gradients(halves, trainable, None, batch, key)

        def by_hand(params):
            logits = spec.model.apply({"params": params}, batch["image"], train=False).logits
            targets = share[:, None] * jnp.eye(10)[:8] + (1 - share[:, None]) * jnp.eye(10)[partner]
            return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()

        return one, two, jax.value_and_grad(by_hand)(params)

    (one, _, figures), (two, _, figures_two), (loss, wanted) = all_of(params)
    np.testing.assert_allclose(figures["loss"].mean(), loss, rtol=1e-5)
    np.testing.assert_allclose(figures_two["loss"].mean(), loss, rtol=1e-5)
    for found in (one, two):
        close = functools.partial(np.testing.assert_allclose, atol=1e-6)
        jax.tree.map(close, found, wanted)


@pytest.fixture
def mixing_config(tiny):
    tiny.model.update({"norm": "none", "dropout": 0.0})
    tiny.augment = ("mixup(1.0)",)
    return tiny


@pytest.mark.slow
def test_a_run_that_mixes_is_the_same_on_eight_devices_and_in_parts(mixing_config):
    """In jit mode the partner is the neighbour in the whole batch, which is parted after."""
    one = figures(mixing_config, devices=1)
    np.testing.assert_allclose(one, figures(mixing_config, devices=8, accumulate=4), atol=1e-5)


@pytest.mark.slow
def test_replicas_mix_their_own_images(mixing_config):
    """Another partner for the first image of every device but one: nearly the same loss."""
    one = figures(mixing_config, devices=1)
    replicas = figures(mixing_config, devices=8, parallel="pmap")
    assert 1e-6 < abs(one[0][0] - replicas[0][0]) < 0.1


def test_numbers_are_not_mixed(tiny):
    tiny.data.name, tiny.loss.name = "digits_angle", "mean_squared"
    tiny.data.fit, tiny.data.image_size, tiny.model.num_classes = "pad", 32, 1
    tiny.augment = ("mixup(0.2)",)
    with pytest.raises(UserError, match="'mixup' mixes classes, but the targets are numbers"):
        make_experiment(tiny)
