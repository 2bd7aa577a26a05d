"""LeNet-5 as published, piece by piece, and the perceptrons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.models import lenet

KEY = jax.random.key(0)


def init(model, images):
    """Variables from NumPy: compiling a net's own initialisation takes longer than the tests."""
    rngs = {"params": KEY, "dropout": KEY}
    shapes = jax.eval_shape(lambda x: model.init(rngs, x, train=True), images)
    random = np.random.RandomState(0)

    def value(path, leaf):
        fixed = {"scale": 1.0, "var": 1.0, "mean": 0.0}.get(path[-1].key)
        if path[0].key == "params" and path[1].key.startswith("norm_") and fixed is None:
            fixed = 0.0
        if fixed is not None:
            return np.full(leaf.shape, fixed, np.float32)
        fan_in = np.prod(leaf.shape[:-1]) or 1
        return (random.randn(*leaf.shape) / np.sqrt(fan_in)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(value, shapes)


@pytest.mark.heavy
def test_a_norm_before_or_after_the_non_linearity():
    """F6's norm is -1 for every image: 0 behind it with ReLU, -1 where it comes last."""
    x = jnp.ones((1, 32, 32, 1))
    for place, expected in (("before", 0.0), ("after", -84.0)):
        net = models.create("bn_lenet", activation="relu", norm_place=place)
        variables = jax.tree.map(jnp.zeros_like, init(net, x))
        variables["params"]["norm_f6"]["bias"] -= 1
        variables["params"]["output"]["kernel"] += 1
        assert ("bias" in variables["params"]["c1"]) == (place == "after")
        assert net.apply(variables, x).logits.tolist() == [[expected] * 10]


def test_strides_in_place_of_pools():
    x = jnp.ones((1, 32, 32, 1))
    net = models.create("lenet5", pooling="stride")
    variables = init(net, x)
    _, state = net.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])
    maps = [state["intermediates"][name]["__call__"][0].shape for name in ("c1", "c3")]
    assert maps == [(1, 14, 14, 6), (1, 5, 5, 16)]
    with pytest.raises(UserError, match=r"model\.c3='full'"):
        models.create("lenet5_1998", pooling="stride").init(KEY, x)


def test_tanh_at_f6_behind_sigmoids():
    """A bias far below 0: F6 ends at -1 with tanh, at 0 with the sigmoid of the other layers."""
    x = jnp.zeros((1, 32, 32, 1))
    for options, expected in (({"f6": "tanh"}, -84.0), ({}, 0.0)):
        net = models.create("lenet5", activation="sigmoid", **options)
        variables = jax.tree.map(jnp.zeros_like, init(net, x))
        variables["params"]["f6"]["bias"] -= 50
        variables["params"]["output"]["kernel"] += 1
        np.testing.assert_allclose(net.apply(variables, x).logits, expected, atol=1e-4)


@pytest.mark.heavy
def test_the_textbooks_bn_lenet_has_no_border_and_all_biases():
    """28 pixels: 24 -> 12 -> 8 -> 4, so that C5 has 256 inputs; BatchNorm cancels every bias."""
    model, x = models.create("bn_lenet_d2l"), jax.random.normal(KEY, (8, 28, 28, 1))
    variables = init(model, x)
    params = variables["params"]
    assert params["c5"]["kernel"].shape == (256, 120)
    moved = {**params, **{n: {**params[n], "bias": params[n]["bias"] + 3} for n in ("c1", "f6")}}

    def logits(params):
        out, _ = model.apply(
            {**variables, "params": params}, x, train=True, mutable=["batch_stats"]
        )
        return out.logits

    np.testing.assert_allclose(logits(params), logits(moved), atol=1e-4)
    with pytest.raises(UserError, match="lenet5 without a border needs images of at least 16x16"):
        models.create("lenet5", border="none").init(KEY, x[:, :15, :15])


def test_c3_follows_table_1():
    """Table I has 6 maps of 3, 9 of 4, 1 of 6: each output map depends on exactly its inputs."""
    assert sorted(map(len, lenet.C3_TABLE)) == [3] * 6 + [4] * 9 + [6]
    assert [sum(i in seen for seen in lenet.C3_TABLE) for i in range(6)] == [10] * 6
    layer = lenet.PartialConv()
    variables = layer.init(KEY, jnp.ones((1, 5, 5, 6)))
    jacobian = jax.jacobian(lambda x: layer.apply(variables, x)[0, 0, 0])(jnp.ones((1, 5, 5, 6)))
    sees = np.abs(jacobian).sum((1, 2, 3)) > 0  # [16, 6]
    expected = np.array([[i in seen for i in range(6)] for seen in lenet.C3_TABLE])
    np.testing.assert_array_equal(sees, expected)


def test_partial_convolution_equals_loops():
    layer, x = lenet.PartialConv(), jax.random.normal(KEY, (1, 6, 7, 6))
    variables = layer.init(KEY, x)
    kernel, found = np.asarray(variables["params"]["kernel"]), layer.apply(variables, x)
    pairs = [(i, j) for j, seen in enumerate(lenet.C3_TABLE) for i in seen]
    for row in range(2):
        for column in range(3):
            patch = np.asarray(x)[0, row : row + 5, column : column + 5]
            expected = np.zeros(16)
            for n, (i, j) in enumerate(pairs):
                expected[j] += (patch[..., i] * kernel[..., n]).sum()
            np.testing.assert_allclose(found[0, row, column], expected, atol=1e-5)


def test_subsampling_is_a_trained_multiple_of_the_sum():
    layer = lenet.Subsampling()
    x = jax.random.normal(KEY, (1, 4, 4, 2))
    params = {"coefficient": jnp.array([0.5, -2.0]), "bias": jnp.array([1.0, 0.0])}
    blocks = np.asarray(x).reshape(1, 2, 2, 2, 2, 2).sum((2, 4))
    expected = blocks * [0.5, -2.0] + [1.0, 0.0]
    np.testing.assert_allclose(layer.apply({"params": params}, x), expected, rtol=1e-5)


@pytest.mark.heavy
def test_rbf_output_is_the_squared_distance_to_the_codes():
    codes = lenet.class_codes(12)
    assert codes.shape == (12, 84)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    distances = ((codes[:, None] - codes[None]) ** 2).sum(-1) / 4
    assert distances[~np.eye(12, dtype=bool)].min() >= 6  # pixels that differ
    model, x = models.create("lenet5_1998"), jax.random.normal(KEY, (2, 32, 32, 1))
    variables = init(model, x)
    output, state = model.apply(variables, x, capture_intermediates=True)
    f6 = 1.7159 * np.tanh(2 / 3 * np.asarray(state["intermediates"]["f6"]["__call__"][0]))
    expected = -((f6[:, None] - codes[None, :10]) ** 2).sum(-1)
    np.testing.assert_allclose(output.logits, expected, rtol=1e-4)


def test_images_under_32_pixels_are_centred_in_zeros():
    model, small = models.create("lenet5"), jax.random.normal(KEY, (2, 28, 28, 1))
    variables = init(model, small)
    padded = jnp.pad(small, [(0, 0), (2, 2), (2, 2), (0, 0)])
    np.testing.assert_array_equal(
        model.apply(variables, small).logits, model.apply(variables, padded).logits
    )


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "bn_lenet", "mlp", "perceptron"])
def test_logits_of_an_example_do_not_depend_on_its_batch(name):
    """With BatchNorm too: at inference it uses population statistics."""
    model, x = models.create(name), jax.random.normal(KEY, (4, 32, 32, 1))
    variables = init(model, x)
    together = model.apply(variables, x, train=False).logits
    alone = model.apply(variables, x[2:3], train=False).logits
    np.testing.assert_allclose(together[2:3], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.heavy
def test_a_train_step_moves_the_population_statistics():
    model, x = models.create("bn_lenet"), jax.random.normal(KEY, (8, 32, 32, 1))
    variables = init(model, x)
    _, changed = model.apply(variables, x, train=True, mutable=["batch_stats"])
    kernel = variables["params"]["c1"]["kernel"]
    maps = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    stats = changed["batch_stats"]["norm_c1"]
    np.testing.assert_allclose(stats["mean"], 0.1 * maps.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * maps.var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("kind", ["none", "batch", "layer", "instance", "group"])
def test_norms_centre_what_they_say(kind):
    model, x = models.create("lenet5", norm=kind), jax.random.normal(KEY, (8, 32, 32, 1))
    variables = init(model, x)
    _, state = model.apply(
        variables,
        x,
        train=True,
        capture_intermediates=True,
        mutable=["intermediates", "batch_stats"],
    )
    if kind == "none":
        assert "norm_c1" not in variables["params"]
        return
    out = np.asarray(state["intermediates"]["norm_c1"]["__call__"][0])  # [8, 28, 28, 6]
    axes = {"batch": (0, 1, 2), "layer": (1, 2, 3), "instance": (1, 2)}
    if kind == "group":  # gcd(32, 6) = 2 groups of 3 maps
        out, over = out.reshape(8, 28, 28, 2, 3), (1, 2, 4)
    else:
        over = axes[kind]
    np.testing.assert_allclose(out.mean(over), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(over), 1, atol=1e-2)


def test_wrong_names_options_and_values_name_the_choices():
    cases = {
        r"model.name='lenet' is unknown \(did you mean 'lenet5'": {"name": "lenet"},
        r"model.pool='max' is no option of lenet5 \(did you mean 'pooling'\?\); its options: act": {
            "name": "lenet5",
            "pool": "max",
        },
        r"lenet5: model.pooling='mean' is unknown; choices: trainable, avg, max, stride": {
            "name": "lenet5",
            "pooling": "mean",
        },
        r"lenet5: model.dropout='x' has the wrong type str; expected float": {
            "name": "lenet5",
            "dropout": "x",
        },
    }
    for message, arguments in cases.items():
        with pytest.raises(UserError, match=message):
            models.create(**arguments)
