"""Views and their mean against slow, obvious NumPy; the net that slides against its crops."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax import models
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.errors import UserError
from cnn_jax.models.layers import ConvolutionalDense, mean_positions
from cnn_jax.training.dataset_checks import small_view_warnings
from cnn_jax.training.experiment import make_experiment
from configs.base import base
from tests.support.folders import make, picture


def resized(image, width, height):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def ten_by_hand(image):
    """Of a 40x60 image at side 20, crops of 16: the square first, then corners and centre."""
    square = resized(image, 30, 20)[:, 5:25]
    return [square[a : a + 16, b : b + 16] for a, b in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]


def test_ten_crops_by_hand():
    image = picture(0, 40, 60)
    (found,) = EvalProtocol.parse("ten_crop(20)", 16, 3)(image)
    np.testing.assert_array_equal(found, ten_by_hand(image))


def test_shifts_by_hand():
    image = picture(0, 16, 16)
    protocol = EvalProtocol.parse("shifts(2)", 16, 3)
    (found,) = protocol(image)
    rows = np.array([2, 1, *range(14)])  # the first two are the reflection
    wanted = [image, image, image[rows][:, rows], image[::-1, ::-1][rows][:, rows][::-1, ::-1]]
    np.testing.assert_array_equal(found, wanted)
    assert (str(protocol), protocol.views, protocol.min_side) == ("shifts(2)", 8, 16)
    assert str(EvalProtocol.parse("shifts", 16, 3)) == "shifts(1)"
    for wrong in ("shifts(0)", "shifts(16)", "shifts(1.5)"):
        with pytest.raises(UserError, match="pixels"):
            EvalProtocol.parse(wrong, 16, 3)


def test_googlenets_144_crops_by_hand():
    image = picture(1, 64, 48)  # upright: top, middle and bottom squares
    protocol = EvalProtocol.parse("crops_144(20, 4)", 16, 3)
    (found,) = protocol(image)
    assert len(found) == 72
    assert protocol.views == 144
    wanted = []
    for side in (20, 24, 28, 32):
        tall = resized(image, side, round(64 * side / 48))
        for top in (0, (len(tall) - side) // 2, len(tall) - side):
            square, end = tall[top : top + side], side - 16
            for a, b in ((0, 0), (0, end), (end, 0), (end, end), (end // 2, end // 2)):
                wanted.append(square[a : a + 16, b : b + 16])
            wanted.append(resized(square, 16, 16))
    np.testing.assert_array_equal(found, wanted)


def test_scales_are_middle_squares():
    image = picture(2, 40, 60)
    found = EvalProtocol.parse("multi_scale(16, 20, 24)", 16, 3)(image)
    assert [view.shape for view in found] == [(1, s, s, 3) for s in (16, 20, 24)]
    np.testing.assert_array_equal(found[1][0], resized(image, 30, 20)[:, 5:25])


def test_there_are_as_many_scales_as_are_given():
    protocol = EvalProtocol.parse("multi_scale(16, 18, 20, 24, 30)", 16, 3)
    found = protocol(picture(2, 40, 60))
    assert [view.shape[1] for view in found] == [16, 18, 20, 24, 30]
    assert (protocol.views, protocol.min_side) == (10, 30)
    assert str(protocol) == "multi_scale(16, 18, 20, 24, 30)"
    assert EvalProtocol.parse("multi_scale(20)", 16, 3).views == 2


@pytest.mark.parametrize(
    ("size", "name", "shown"),
    [
        (224, "ten_crop", "ten_crop(256)"),
        (224, "dense()", "dense(384)"),
        (224, "multi_scale", "multi_scale(256, 384, 512)"),
        (224, "crops_144", "crops_144(256, 32)"),
        (299, "ten_crop", "ten_crop(342)"),
        (32, "ten_crop", "ten_crop(37)"),
        (32, "crops_144", "crops_144(37, 5)"),
        (32, "multi_scale", "multi_scale(37, 55, 73)"),
    ],
)
def test_without_sizes_a_protocol_fits_the_net(size, name, shown):
    assert str(EvalProtocol.parse(name, size, 3)) == shown


def test_crops_that_see_little_are_warned_of():
    """A recipe for 224 pixels with an input of 32; and what sees enough, or all."""
    config = base("test", "folder:x", image_size=32)
    warnings = lambda: small_view_warnings(  # noqa: E731
        config, EvalProtocol.parse(config.protocol, 32, 3)
    )
    assert warnings() == []
    config.protocol, config.data.resize = "ten_crop(256)", 128
    config.data.train_crop = "scale_jitter(256, 480)"
    share = "a view of data.image_size=32 is"
    assert warnings() == [
        f"data.resize=128: {share} 6.2% of the square of 128 pixels",
        f"data.train_crop='scale_jitter(256, 480)': {share} 1.6% of the square of 256 pixels",
        f"protocol='ten_crop(256)': {share} 1.6% of the square of 256 pixels",
    ]
    config.protocol, config.data.resize, config.data.train_crop = "dense(256)", 127, ""
    assert warnings() == []


class Small(nn.Module):
    """conv, pool, and two dense layers, as VGG's end."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(4, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.relu(ConvolutionalDense(5, name="fc6")(x))
        return mean_positions(nn.Dense(3, name="fc8")(x))


@pytest.mark.heavy
def test_a_sliding_net_equals_loops_over_its_map():
    net, key = Small(), jax.random.key(0)
    small, large = (jax.random.normal(key, (2, side, side, 3)) for side in (8, 14))
    variables = net.init(key, small)
    kernel = np.asarray(variables["params"]["fc6"]["kernel"]).reshape(4, 4, 4, 5)
    last = variables["params"]["fc8"]
    conv = nn.Conv(4, (3, 3)).apply({"params": variables["params"]["Conv_0"]}, large)
    rows = np.maximum(np.asarray(conv), 0).reshape(2, 7, 2, 7, 2, 4).max((2, 4))
    scores = np.zeros((2, 4, 4, 3))
    for i in range(4):
        for j in range(4):
            window = rows[:, i : i + 4, j : j + 4]
            hidden = np.maximum(np.tensordot(window, kernel, 3) + 0, 0)
            scores[:, i, j] = hidden @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    np.testing.assert_allclose(net.apply(variables, large), scores.mean((1, 2)), atol=1e-5)
    flat = nn.max_pool(
        nn.relu(nn.Conv(4, (3, 3)).apply({"params": variables["params"]["Conv_0"]}, small)),
        (2, 2),
        (2, 2),
    ).reshape(2, -1)
    wanted = nn.Dense(5).apply({"params": variables["params"]["fc6"]}, flat)
    wanted = nn.Dense(3).apply({"params": last}, nn.relu(wanted))
    np.testing.assert_allclose(net.apply(variables, small), wanted, atol=1e-5)


def config_of(root, protocol, **changes):
    config = base("test", f"folder:{root}", image_size=16)
    config.batch_size, config.eval_batch_size, config.protocol = 8, 40, protocol
    config.model.update({"name": "perceptron", **changes})
    return config


@pytest.mark.parametrize("devices", [1, 8])
def test_evaluation_is_the_mean_of_class_probabilities(tmp_path, devices):
    """Ten crops of every test image through the net one by one, by NumPy."""
    config = config_of(make(tmp_path, {"a": 25, "b": 22}, height=40, width=60), "ten_crop(20)")
    config.devices = devices
    experiment = make_experiment(config)
    state, split = experiment.compiled.init().state, experiment.dataset.test
    found = experiment.evaluator("test", experiment.protocol)(state)
    params = jax.tree.map(np.asarray, state.params["output"])
    pixels = experiment.dataset.train.images.astype(float)
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    losses = []
    for row in range(len(split)):
        shares = []
        for crop in ten_by_hand(split.original(row, experiment.protocol.min_side)):
            for view in (crop, crop[:, ::-1]):
                scores = ((view - mean) / std).ravel() @ params["kernel"] + params["bias"]
                shares.append(np.exp(scores) / np.exp(scores).sum())
        losses.append(-np.log(np.mean(shares, 0)[split.labels[row]]))
    np.testing.assert_allclose(found["loss"], losses, rtol=1e-4)
    np.testing.assert_array_equal(found["id"], split.ids)


def test_arrays_take_protocols_too():
    config = base("test", "digits", image_size=16)
    config.protocol, config.devices, config.model.name = "ten_crop(20)", 1, "perceptron"
    experiment = make_experiment(config)
    found = experiment.evaluator("validation", experiment.protocol)(
        experiment.compiled.init().state
    )
    assert len(found["loss"]) == len(experiment.dataset.validation)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("tencrop", r"protocol='tencrop' is unknown \(did you mean 'ten_crop'"),
        ("ten_crop(8)", "start no lower than data.image_size=16"),
        ("multi_scale(20, 18, 30)", "must rise"),
        ("multi_scale(20, 1.5)", r"none negative: multi_scale\(\*sides: int\)"),
        ("dense(32)", "perceptron takes images of 16 pixels only; choose protocol='ten_crop'"),
    ],
)
def test_protocols_that_cannot_be(tmp_path, protocol, message):
    with pytest.raises(UserError, match=message):
        make_experiment(config_of(make(tmp_path, {"a": 9, "b": 9}), protocol))


@pytest.mark.slow
def test_dense_needs_no_other_net_where_a_global_pool_ends_it(tmp_path):
    """Its mean over the positions of the larger map is that pool."""
    root = make(tmp_path, {"a": 12, "b": 12}, height=40, width=40)
    config = config_of(root, "dense(24)", name="resnet20_cifar")
    config.devices = 1
    experiment = make_experiment(config)
    state = experiment.compiled.init().state
    found = experiment.evaluator("test", experiment.protocol)(state)
    view = np.stack([resized(experiment.dataset.test.original(i, 24), 24, 24) for i in range(2)])
    mean, std = (
        f(experiment.dataset.train.images.astype(float), axis=(0, 1, 2)) for f in (np.mean, np.std)
    )
    shares = 0

    net = models.create("resnet20_cifar", num_classes=2)
    for images in (view, view[:, :, ::-1]):
        logits = net.apply(state.variables, jnp.float32((images - mean) / std)).logits
        shares += np.asarray(jax.nn.softmax(logits)) / 2
    wanted = -np.log(shares[np.arange(2), experiment.dataset.test.labels[:2]])
    np.testing.assert_allclose(found["loss"][:2], wanted, rtol=1e-3)
