"""Mixup and CutMix: images, shares, losses, and the step that trains on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import augment
from cnn_jax.data.augment import Mixed, mixing
from cnn_jax.data.dataset import Task
from cnn_jax.data.memory import Resident
from cnn_jax.errors import UserError
from cnn_jax.losses import LOSSES, make_loss
from cnn_jax.models import Output
from cnn_jax.run import make_run

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (6, 10, 12, 3)).astype(np.float32)
LABELS = jnp.array([3, 1, 4, 1, 5, 0])
KEYS = jax.random.split(jax.random.key(5), 1000)


def mixed(call):
    """(images, targets) of the six images, as NumPy arrays."""
    compiled = jax.jit(augment.compose((call,)))
    images, targets = compiled(jax.random.key(1), jnp.arange(6), jnp.asarray(IMAGES), LABELS)
    assert isinstance(targets, Mixed)
    return np.asarray(images), Mixed(*map(np.asarray, targets))


def shares(mix, shape, *numbers):
    """Its shares for images of 1 mixed with images of 0, and the mixed images."""
    one, zero = jnp.ones(shape), jnp.zeros(shape)
    images, share = jax.jit(jax.vmap(lambda key: mix(key, one, zero, *numbers)))(KEYS)
    return np.asarray(share, np.float64), np.asarray(images, np.float64)


def test_mixup_blends_with_the_example_before():
    images, targets = mixed("mixup(1.0)")
    np.testing.assert_array_equal(targets.label, LABELS)
    np.testing.assert_array_equal(targets.partner, np.roll(LABELS, 1))
    share = targets.share[:, None, None, None]
    wanted = share * IMAGES + (1 - share) * np.roll(IMAGES, 1, 0)
    np.testing.assert_allclose(images, wanted, rtol=1e-5)


def test_the_share_of_mixup_is_beta():
    for alpha in (0.2, 2.0):
        share, images = shares(mixing.mixup, (1, 1, 1), alpha)
        np.testing.assert_allclose(images[:, 0, 0, 0], share, atol=1e-6)
        assert abs(share.mean() - 0.5) < 0.04
        np.testing.assert_allclose(share.var(), 1 / (4 * (2 * alpha + 1)), rtol=0.12)


def test_cutmix_pastes_a_rectangle_and_counts_it():
    images, targets = mixed("cutmix(1.0)")
    partner = np.roll(IMAGES, 1, 0)
    pasted = (images == partner).all(-1)
    assert ((images == IMAGES).all(-1) | pasted).all()
    np.testing.assert_allclose(targets.share, 1 - pasted.mean((1, 2)), atol=1e-6)
    for mask in pasted:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_the_rectangle_of_cutmix_has_the_drawn_area():
    """With alpha so large that the share before the cut at the rim is always near a half."""
    share, images = shares(mixing.cutmix, (40, 40, 1), 1000.0)
    np.testing.assert_allclose(images.mean((1, 2, 3)), share, atol=1e-6)
    inside = [image for image in images[..., 0] if image[[0, -1]].all() and image[:, [0, -1]].all()]
    sides = np.array(
        [[(~im.all(1 - axis)).sum() for axis in (0, 1)] for im in map(np.bool, inside)]
    )
    assert len(sides) > 30
    np.testing.assert_allclose(sides.mean(), 40 * np.sqrt(0.5), atol=1)
    assert share.min() + 0.05 > 0.5
    assert share.max() < 0.9
    uniform, _ = shares(mixing.cutmix, (10, 10, 1), 1.0)
    assert uniform.max() == 1
    assert uniform.min() < 0.2


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_both_labels_by_their_share(tiny, name):
    tiny.loss.update({"name": name, "label_smoothing": 0.2, "auxiliary_weights": (0.3,)})
    loss = make_loss(tiny, Task("classification", tuple("abcdef")))
    output = Output(jnp.asarray(RNG.normal(size=(6, 6))), (jnp.asarray(RNG.normal(size=(6, 6))),))
    partner, share = jnp.roll(LABELS, 1), np.linspace(0, 1, 6)
    found = loss(output, Mixed(LABELS, partner, jnp.asarray(share, jnp.float32)))
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
    found = loss(Output(jnp.asarray(logits), ()), Mixed(LABELS, partner, jnp.asarray(share)))[
        "loss"
    ]
    own, other = (0.9 * np.eye(6)[np.asarray(rows)] + 0.1 / 6 for rows in (LABELS, partner))
    targets = share[:, None] * own + (1 - share[:, None]) * other
    log_softmax = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(found, -(targets * log_softmax).sum(-1), rtol=1e-5)


def figures(config, **changes):
    """(loss, accuracy) of the first two steps."""
    config = config.copy_and_resolve_references()
    config.update(changes)
    run = make_run(config)
    carry, found = run.steps.init(), []
    data = run.devices.replicate(Resident.of(run.dataset.train))
    for _ in range(2):
        (state, running), _ = run.steps.train(carry, data, run.steps.order(0))
        found.append((float(running.loss.compute()), float(running.accuracy.compute())))
        carry = state, run.steps.empty_metrics()
    return found


def test_a_mixed_batch_is_the_same_on_eight_devices_and_in_parts(tiny):
    """In jit mode the partner is the neighbour in the whole batch; the parts share it out after."""
    tiny.model.update({"norm": "none", "dropout": 0.0})
    tiny.augment = ("translate(0.1)", "cutmix(1.0)")
    one = figures(tiny, devices=1)
    np.testing.assert_allclose(one, figures(tiny, devices=8), atol=1e-5)
    np.testing.assert_allclose(one, figures(tiny, devices=8, accumulate=4), atol=1e-5)
    alone = figures(tiny, devices=1, augment=("translate(0.1)",))
    assert abs(one[0][0] - alone[0][0]) > 1e-3
    replicas = figures(tiny, devices=8, parallel="pmap")
    assert np.isfinite(replicas).all()
    assert abs(one[0][0] - replicas[0][0]) > 1e-6, "partners are each device's own"


def test_numbers_are_not_mixed(tiny):
    tiny.data.name, tiny.loss.name = "digits_angle", "mean_squared"
    tiny.data.fit, tiny.data.image_size, tiny.model.num_classes = "pad", 32, 1
    tiny.augment = ("mixup(0.2)",)
    with pytest.raises(UserError, match="'mixup' mixes classes, but the targets are numbers"):
        make_run(tiny)
