"""GoogLeNet and its successors: pools in ceil mode, auxiliary heads, norms, stages, minima."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.errors import UserError
from cnn_jax.models.inception_v3 import Mixed5
from cnn_jax.models.layers import BatchNorm, avg_pool, max_pool

KEY = jax.random.key(0)
KEYS = {"params": KEY, "dropout": KEY}


def image(size):
    return jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)


def stage_shapes(name, size, **options):
    """Name of each module or pool at the top -> its output's shape, for one image."""
    net = models.create(name, num_classes=2, **options)
    run = functools.partial(net.init, capture_intermediates=True, mutable=True)
    out = {}
    for stage, value in jax.eval_shape(run, KEYS, image(size))["intermediates"].items():
        value = value.get("__call__") if isinstance(value, dict) else value
        if value and hasattr(value[0], "shape"):
            out[stage] = value[0].shape[1:]
    return out


def variables_for(net, size):
    """Random values in the shapes of a net's variables: faster than a compiled init."""
    rng = np.random.default_rng(0)

    def fill(path, leaf):
        if path[-1].key == "kernel":
            fan_in = np.prod(leaf.shape[:-1])
            return (2 / fan_in) ** 0.5 * rng.standard_normal(leaf.shape, np.float32)
        return 0.5 + rng.random(leaf.shape, np.float32)

    shapes = jax.eval_shape(functools.partial(net.init, train=True), KEYS, image(size))
    return jax.tree_util.tree_map_with_path(fill, shapes)


def pool_by_hand(x, window, stride, pad, reduce):
    """Caffe's and torch's ceil mode, window by window; padding is cut off before reducing."""
    n = x.shape[1]
    count = -(-(n + 2 * pad - window) // stride) + 1
    if (count - 1) * stride >= n + pad:
        count -= 1
    out = np.empty((x.shape[0], count, count, x.shape[3]), np.float32)
    for i in range(count):
        for j in range(count):
            top, left = i * stride - pad, j * stride - pad
            rows = slice(max(0, top), min(n, top + window))
            columns = slice(max(0, left), min(n, left + window))
            # Padding counts, what ceil mode adds beyond it does not.
            area = (min(n + pad, top + window) - top) * (min(n + pad, left + window) - left)
            out[:, i, j] = reduce(x[:, rows, columns], area)
    return out


@pytest.mark.parametrize("n", [4, 5, 6, 7, 8])
@pytest.mark.parametrize(("window", "stride", "pad"), [(3, 2, 0), (2, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_ceil_mode_pools_equal_loops(n, window, stride, pad):
    x = np.random.default_rng(0).normal(-3, 1, (2, n, n, 2)).astype(np.float32)
    found = max_pool(jnp.asarray(x), window, stride, padding=pad, ceil=True)
    expected = pool_by_hand(x, window, stride, pad, lambda part, _: part.max((1, 2)))
    np.testing.assert_array_equal(found, expected)
    found = avg_pool(jnp.asarray(x), window, stride, padding=pad, ceil=True)
    expected = pool_by_hand(x, window, stride, pad, lambda part, area: part.sum((1, 2)) / area)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_means_without_padding_divide_by_what_is_there():
    x = jnp.ones((1, 4, 4, 1))
    np.testing.assert_allclose(avg_pool(x, 3, 1, padding=1, count_padding=False), x)
    assert avg_pool(x, 3, 1, padding=1)[0, 0, 0, 0] == pytest.approx(4 / 9)


@pytest.fixture(scope="module")
def googlenet():
    """GoogLeNet at 32 px, with its heads' logits in evaluation mode as a function of parameters."""
    net = models.create("googlenet", num_classes=3)
    variables, x = variables_for(net, 32), jax.random.normal(KEY, (2, 32, 32, 3))

    @jax.jit
    def run(params):
        output, _ = net.apply({"params": params}, x, mutable=["auxiliary"])
        return output

    return variables["params"], run


@pytest.mark.heavy
def test_heads_come_in_the_order_of_depth(googlenet):
    params, run = googlenet
    before = run(params)
    assert [a.shape for a in before.auxiliary] == [(2, 3), (2, 3)]
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params["inception_4b"])  # between 4a and 4d
    after = run({**params, "inception_4b": doubled})
    np.testing.assert_array_equal(before.auxiliary[0], after.auxiliary[0])
    assert np.abs(before.auxiliary[1] - after.auxiliary[1]).min() > 0


def test_heads_do_not_touch_the_logits(googlenet):
    params, run = googlenet
    before = run(params)
    zeros = jax.tree.map(jnp.zeros_like, params["auxiliary_4a"])
    after = run({**params, "auxiliary_4a": zeros})
    np.testing.assert_array_equal(before.logits, after.logits)
    np.testing.assert_array_equal(after.auxiliary[0], 0)


@pytest.mark.parametrize(
    ("name", "heads"), [("googlenet", 2), pytest.param("inception_v3", 1, marks=pytest.mark.slow)]
)
def test_heads_run_in_training_only(name, heads):
    net = models.create(name, num_classes=2)

    def run(x):
        variables = net.init(KEYS, x, train=False)
        training, _ = net.apply(
            variables, x, train=True, rngs={"dropout": KEY}, mutable=["batch_stats"]
        )
        return variables["params"], training.auxiliary, net.apply(variables, x).auxiliary

    params, training, evaluation = jax.eval_shape(run, image(75))
    assert [head.shape for head in training] == [(1, 2)] * heads
    assert evaluation == ()
    made = [key for key in params if key.startswith("auxiliary")]
    assert len(made) == heads  # by init, whatever `train` is


@pytest.mark.heavy
def test_heads_are_an_option():
    net = models.create("googlenet", num_classes=2, auxiliary=False)
    output, variables = jax.eval_shape(
        functools.partial(net.init_with_output, train=True), KEYS, image(32)
    )
    assert output.auxiliary == ()
    assert not [key for key in variables["params"] if key.startswith("auxiliary")]


NORMS = {
    "googlenet_torchvision": (1e-3, 59),
    "bn_inception": (1e-5, 69),
    "inception_v3": (1e-3, 96),
    "inception_v4": (1e-3, 149),
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", NORMS)
def test_batch_norms_constants(name):
    epsilons = []

    def record(call, args, kwargs, context):
        if isinstance(context.module, BatchNorm):
            epsilons.append((context.module.epsilon, context.module.momentum))
        return call(*args, **kwargs)

    net = models.create(name)
    with nn.intercept_methods(record):
        jax.eval_shape(functools.partial(net.init, train=True), KEYS, image(96))
    epsilon, count = NORMS[name]
    assert epsilons == [(epsilon, 0.9)] * count


@pytest.mark.heavy
def test_googlenet_stages():
    expected = {  # torchvision's, which halve where the paper's do
        "pool1": (56, 56, 64),
        "pool2": (28, 28, 192),
        "inception_3a": (28, 28, 256),
        "inception_3b": (28, 28, 480),
        "pool3": (14, 14, 480),
        "inception_4a": (14, 14, 512),
        "inception_4b": (14, 14, 512),
        "inception_4c": (14, 14, 512),
        "inception_4d": (14, 14, 528),
        "inception_4e": (14, 14, 832),
        "pool4": (7, 7, 832),
        "inception_5a": (7, 7, 832),
        "inception_5b": (7, 7, 1024),
        "global_pool": (1024,),
        "linear": (2,),
    }
    for name in ("googlenet", "googlenet_torchvision"):
        shapes = stage_shapes(name, 224)
        assert {stage: shapes[stage] for stage in expected} == expected
        assert shapes["conv1"] == (112, 112, 64)
        assert shapes["conv2_reduce"] == (56, 56, 64)
        assert shapes["conv2"] == (56, 56, 192)


@pytest.mark.heavy
@pytest.mark.parametrize(("count_padding", "corner"), [(False, 1), (True, 4 / 9)])
def test_inception_v3_means_leave_the_padding_out(count_padding, corner):
    """On a map of ones: TensorFlow's SAME mean is 1, torchvision's is 4/9 in a corner."""
    found = []

    def record(call, args, kwargs, context):
        if type(context.module) is Mixed5:
            found.append(context.module.mean)
        return call(*args, **kwargs)

    net = models.create("inception_v3", count_padding=count_padding)
    with nn.intercept_methods(record):
        jax.eval_shape(net.init, KEYS, image(96))
    assert len(found) == 3
    assert all(m(jnp.ones((1, 5, 5, 1)))[0, 0, 0, 0] == pytest.approx(corner) for m in found)


@pytest.mark.heavy
def test_inception_v3_stages():
    shapes = stage_shapes("inception_v3", 299)  # torchvision's
    assert [shapes[f"conv_{stage}"] for stage in ("1a", "2a", "2b", "3b", "4a")] == [
        (149, 149, 32),
        (147, 147, 32),
        (147, 147, 64),
        (73, 73, 80),
        (71, 71, 192),
    ]
    assert (shapes["pool1"], shapes["pool2"]) == ((73, 73, 64), (35, 35, 192))
    widths = {"5b": 256, "5c": 288, "5d": 288}
    assert all(shapes[f"mixed_{k}"] == (35, 35, w) for k, w in widths.items())
    assert all(shapes[f"mixed_6{k}"] == (17, 17, 768) for k in "abcde")
    widths = {"7a": 1280, "7b": 2048, "7c": 2048}
    assert all(shapes[f"mixed_{k}"] == (8, 8, w) for k, w in widths.items())
    assert shapes["global_pool"] == (2048,)
    seven = stage_shapes("inception_v3", 299, factorised_stem=False)
    assert seven["conv_1a"] == (147, 147, 64)
    assert seven["mixed_7c"] == (8, 8, 2048)


@pytest.mark.heavy
def test_bn_inception_stages():
    shapes = stage_shapes("bn_inception", 224)  # Ioffe & Szegedy 2015, fig. 5; 4c to 4e: Caffe
    sides = {"3a": (28, 256), "3b": (28, 320), "3c": (14, 576), "4a": (14, 576), "4b": (14, 576)}
    sides |= {"4c": (14, 608), "4d": (14, 608), "4e": (7, 1056), "5a": (7, 1024), "5b": (7, 1024)}
    for name, (side, width) in sides.items():
        assert shapes[f"inception_{name}"] == (side, side, width)
    printed = stage_shapes("bn_inception", 224, pool_projection=96)
    assert [printed[f"inception_4{k}"][-1] for k in "cde"] == [576, 576, 1024]
    assert stage_shapes("bn_inception", 71)["inception_5b"] == (3, 3, 1024)  # odd maps on the way


@pytest.mark.heavy
def test_inception_v4_stages():
    shapes = stage_shapes("inception_v4", 299)
    assert shapes["stem"] == (35, 35, 384)
    assert all(shapes[f"inception_a{i}"] == (35, 35, 384) for i in range(1, 5))
    assert all(shapes[f"inception_b{i}"] == (17, 17, 1024) for i in range(1, 8))
    assert all(shapes[f"inception_c{i}"] == (8, 8, 1536) for i in range(1, 4))


MINIMA = {
    "googlenet": 31,
    "googlenet_torchvision": 15,
    "bn_inception": 7,
    "inception_v3": 75,
    "inception_v4": 75,
}


@pytest.mark.heavy
@pytest.mark.parametrize("name", MINIMA)
def test_smallest_input(name):
    minimum = MINIMA[name]
    assert all(0 not in shape for shape in stage_shapes(name, minimum).values())
    with pytest.raises(UserError, match=f"at least {minimum}x{minimum} pixels"):
        stage_shapes(name, minimum - 1)


@pytest.mark.heavy
def test_norms_decide_about_biases():
    def biased(name, **options):  # conv1 stands for all: counts/ has the sums
        net = models.create(name, **options)
        return "bias" in jax.eval_shape(net.init, KEY, image(32))["params"]["conv1"]

    assert biased("googlenet")
    assert not biased("googlenet", norm="batch")
    assert not biased("bn_inception")
    assert biased("bn_inception", bias=True)
    assert biased("bn_inception", norm="layer")


@pytest.mark.heavy
def test_lrn_of_googlenet_is_an_option():
    def norms(lrn):
        net = models.create("googlenet", lrn=lrn, auxiliary=False)
        jaxpr = jax.make_jaxpr(net.init)(KEY, jnp.ones((1, 32, 32, 3)))
        return str(jaxpr).count("rsqrt")

    assert norms(True) - norms(False) == 2
