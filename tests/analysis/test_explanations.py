"""Explanations against slow references, and the nets and images for which their answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.explanations import grad_cam, input_gradients, occlusion, patches, sanity
from cnn_jax.errors import UserError
from cnn_jax.models.variables import fresh_variables, init_variables


@pytest.fixture(scope="module")
def net():
    """(model, variables, images): LeNet-5 with ReLU, random, with biases that are not zero."""
    model = models.create("lenet5", 10, activation="relu", pooling="max")
    variables = fresh_variables(model, 3, (32, 32, 1))
    rng = np.random.default_rng(0)
    shift = lambda x: x + 0.05 * rng.normal(size=x.shape).astype(np.float32)  # noqa: E731
    variables = {"params": jax.tree.map(shift, variables["params"]), "batch_stats": {}}
    return model, variables, jnp.asarray(rng.normal(size=(2, 32, 32, 1)), jnp.float32)


def tail(params, maps):
    """What follows LeNet's c3, one loop a layer, in float64: [10, 10, 16] -> [10]."""
    pooled = np.zeros((5, 5, 16))
    for row in range(5):
        for column in range(5):
            window = maps[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            pooled[row, column] = np.maximum(window, 0).max((0, 1))
    x = pooled.reshape(-1)
    for name in ("c5", "f6", "output"):
        kernel, bias = (np.float64(params[name][part]) for part in ("kernel", "bias"))
        x = x @ kernel + bias
        x = x if name == "output" else np.maximum(x, 0)
    return x


def slow_grad_cam(params, maps, class_number):
    """Eq. 1 and 2 with derivatives by central differences, pixel by pixel, map by map."""
    height, width, channels = maps.shape
    out = np.zeros((height, width))
    for k in range(channels):
        total, step = 0.0, 1e-6
        for row in range(height):
            for column in range(width):
                ends = []
                for sign in (1, -1):
                    moved = maps.copy()
                    moved[row, column, k] += sign * step
                    ends.append(tail(params, moved)[class_number])
                total += (ends[0] - ends[1]) / (2 * step)
        out += total / (height * width) * maps[..., k]
    return np.maximum(out, 0)


@pytest.mark.heavy
def test_grad_cam_is_the_slow_reference(net):
    model, variables, images = net
    classes = jnp.array([4, 7])
    maps, _ = grad_cam.stage_gradients(model, variables, images, classes, "c3")
    result = np.asarray(grad_cam.grad_cam(model, variables, images, classes, "c3"))
    assert result.max() > 0.01
    expected = slow_grad_cam(variables["params"], np.float64(maps[1]), 7)
    np.testing.assert_allclose(result[1], expected, atol=1e-5)


def test_stages_are_chosen_by_name(net):
    model, _, _ = net
    shapes = grad_cam.map_shapes(model, (32, 32, 1))
    assert shapes == {"c1": (28, 28, 6), "c3": (10, 10, 16)}
    assert grad_cam.choose_stage(shapes) == "c3"
    assert grad_cam.choose_stage(shapes, "c1") == "c1"
    with pytest.raises(UserError, match=r"stage='c4' is no layer with maps; choices: c1, c3$"):
        grad_cam.choose_stage(shapes, "c4")
    resnet = grad_cam.map_shapes(models.create("resnet20_cifar", 10, scan=True), (32, 32, 3))
    assert grad_cam.choose_stage(resnet) == "layer3_2"
    assert grad_cam.choose_stage(resnet, "layer1") == "layer1_2"
    with pytest.raises(UserError, match="dense throughout"):
        grad_cam.choose_stage(grad_cam.map_shapes(models.create("mlp", 10), (8, 8, 1)))


@pytest.mark.heavy
def test_gradients_at_a_stage_of_scanned_blocks_are_those_without():
    shape, stage = (8, 8, 3), "layer2_1"
    images, classes = jnp.zeros((1, *shape)), jnp.array([1])
    programs = []
    for scan in (False, True):
        model = models.create("plain20_cifar", 10, scan=scan)
        variables = jax.eval_shape(lambda model=model: init_variables(model, 0, shape))
        program = jax.make_jaxpr(
            lambda v, model=model: grad_cam.grad_cam(model, v, images, classes, stage)
        )(variables)
        programs.append(str(program))
    assert programs[0] == programs[1]


def test_guided_rectifiers_keep_negative_gradients_out():
    """y = relu(x @ w1) @ w2 by hand; outside of the context nothing is changed."""
    model = models.create("mlp", 2, hidden=(3,), activation="relu")
    variables = fresh_variables(model, 0, (2, 2, 1))
    images = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 2, 1)), jnp.float32)
    params = jax.tree.map(np.asarray, variables["params"])
    first, last = (params[name]["kernel"] for name in ("hidden1", "output"))
    active = (np.asarray(images).reshape(-1) @ first + params["hidden1"]["bias"]) > 0
    back = last[:, 1]
    assert (back[active] < 0).any()
    classes = jnp.array([1])
    for function, expected in (
        (input_gradients.image_gradient, first @ (active * back)),
        (input_gradients.guided_backpropagation, first @ (active * np.maximum(back, 0))),
    ):
        result = grad_cam.compiled(function)(model, variables, images, classes).reshape(-1)
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.heavy
def test_occlusion_is_the_loss_by_hand(net):
    model, variables, images = net
    image = np.asarray(images[0])

    def probability(x):
        return float(jax.nn.softmax(model.apply(variables, jnp.asarray(x[None])).logits)[0, 3])

    result = occlusion.occlusion(model, variables, image, 3, patch=16, stride=12, fill=0.5)
    total, count = np.zeros((32, 32)), np.zeros((32, 32))
    for row in (0, 12, 16):
        for column in (0, 12, 16):
            place = np.s_[row : row + 16, column : column + 16]
            covered = image.copy()
            covered[place] = 0.5
            total[place] += probability(image) - probability(covered)
            count[place] += 1
    np.testing.assert_allclose(result, total / count, atol=1e-6)


def test_first_filters_are_those_of_the_first_convolution(net):
    model, variables, _ = net
    np.testing.assert_array_equal(
        patches.first_filters(model, variables, (32, 32, 1)), variables["params"]["c1"]["kernel"]
    )
    mlp = models.create("mlp", 10)
    with pytest.raises(UserError, match="no convolution"):
        patches.first_filters(mlp, fresh_variables(mlp, 0, (8, 8, 1)), (8, 8, 1))


def test_best_patches_are_the_largest_of_all_images():
    maps = np.random.default_rng(2).normal(size=(7, 4, 5, 3)).astype(np.float32)
    best = patches.BestPatches.empty(3, 2)
    for first in (0, 4):
        best = best.join(maps[first : first + 4], first)
    for channel in range(3):
        order = np.argsort(-maps[..., channel].max((1, 2)))[:2]
        assert best.images[channel].tolist() == order.tolist()
        for image, row, column, value in zip(
            *(x[channel] for x in (best.images, best.rows, best.columns, best.values)), strict=True
        ):
            assert maps[image, row, column, channel] == value == maps[image, ..., channel].max()


def test_a_patch_is_what_the_position_sees(net):
    """All that is outside of it may change, and the unit's value does not."""
    model, variables, images = net
    windows = patches.windows_of_stage(model, (32, 32, 1), "c3")
    assert [w.size for w in windows] == [14, 14]
    at = (2, 9)
    image = np.asarray(images[0])
    part = patches.cut(image, windows, at)
    np.testing.assert_array_equal(part, image[4:18, 18:32])
    alone = np.full_like(image, 9.0)
    alone[4:18, 18:32] = part
    maps_of = patches.make_maps_of(model, ["c3"])
    values = maps_of(variables, np.stack([image, alone]))["c3"][:, 2, 9]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5, atol=1e-5)
    reaching_out = tuple(w._replace(low=-3, high=2) for w in windows)
    assert patches.cut(image, reaching_out, (0, 0)).shape == (6, 6, 1)
    assert not patches.cut(image, reaching_out, (0, 0))[:3].any()


def test_the_cascade_draws_stages_again_from_the_head_down(net):
    model, variables, _ = net
    fresh = fresh_variables(model, 0, (32, 32, 1))["params"]
    steps = list(sanity.cascade(model, variables, (32, 32, 1)))
    assert [stage for stage, _ in steps] == ["output", "f6", "c5", "c3", "c1"]
    for i, (_, random) in enumerate(steps):
        for j, (stage, _) in enumerate(steps):
            expected = (fresh if j <= i else variables["params"])[stage]["kernel"]
            np.testing.assert_array_equal(random["params"][stage]["kernel"], expected)
        assert jax.tree.structure(random) == jax.tree.structure(variables)


@pytest.mark.heavy
def test_the_check_fails_what_shows_the_image_alone(net):
    """The image itself as a map stays; numbers by the weights alone do not."""
    model, variables, images = net
    images = np.asarray(images)

    def edges(model, variables, images, classes):
        return images

    def by_weights(model, variables, images, classes):
        seed = int(abs(float(jax.tree.leaves(variables)[0].sum())) * 1e6)
        return np.random.default_rng(seed).normal(size=images.shape)

    shown = sanity.check(edges, model, variables, images, np.array([1, 2]))
    assert not shown.passes
    assert shown.rows[-1] == sanity.SanityRow("c1", pytest.approx(1), pytest.approx(1, abs=1e-4))
    assert shown.verdict.startswith("fails: its maps stay alike when all weights are drawn")
    other = sanity.check(by_weights, model, variables, images, np.array([1, 2]))
    assert other.passes
    assert abs(other.rows[-1].rank_correlation) < 0.2


def test_rank_correlation_is_scipys():
    from scipy import stats

    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 9, (2, 40)) * 1.0  # with ties
    assert sanity.rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)
    assert sanity.rank_correlation(a, np.ones(40)) == 0
