"""AlexNet and VGG: what a tower sees, LRN, pools, initial values, stages."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.receptive import Window
from cnn_jax.errors import UserError
from cnn_jax.models.alexnet import lrn_by_tower, smallest_image
from cnn_jax.models.layers import ConvolutionalDense, adaptive_avg_pool

KEY = jax.random.key(0)


def images(size, batch=1):
    return jax.random.normal(KEY, (batch, size, size, 3))


def stage_shapes(name, size, **options):
    """Name of each module or pool at the top -> its output's shape, for one image."""
    net = models.create(name, num_classes=2, **options)
    run = functools.partial(net.init, capture_intermediates=True, mutable=True)
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    out = {}
    for stage, value in jax.eval_shape(run, KEY, x)["intermediates"].items():
        value = value.get("__call__") if isinstance(value, dict) else value
        if "Dropout" not in stage and hasattr(value[0], "shape"):
            out[stage] = value[0].shape[1:]
    return out


def param_shapes(name, size, **options):
    net = models.create(name, num_classes=2, **options)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: net.init(KEY, x)["params"], image)


def changed_maps(layer, source, maps, towers):
    """The maps of `layer` that change when the kernels of some `maps` of `source` do."""
    net = models.create("alexnet", num_classes=2, towers=towers, head="avg")
    x, rng = images(67), np.random.default_rng(0)
    params = jax.tree.map(  # faster than a compiled init
        lambda leaf: jnp.array(rng.normal(0, 0.02, leaf.shape), jnp.float32),
        jax.eval_shape(net.init, KEY, x)["params"],
    )

    @jax.jit
    def output(kernel):
        changed = {**params, source: {**params[source], "kernel": kernel}}
        _, state = net.apply(
            {"params": changed}, x, capture_intermediates=True, mutable=["intermediates"]
        )
        return state["intermediates"][layer]["__call__"][0]

    kernel = params[source]["kernel"]
    difference = output(kernel) - output(kernel.at[..., maps].multiply(2))
    return np.abs(difference).max((0, 1, 2)) > 0


@pytest.mark.heavy
def test_a_tower_sees_its_own_maps_only():
    seen = changed_maps("conv2", "conv1", slice(48, 96), towers=2)
    assert not seen[:128].any()
    assert seen[128:].all()
    assert changed_maps("conv2", "conv1", slice(48, 96), towers=1).all()


def test_conv3_joins_the_towers():
    assert changed_maps("conv3", "conv2", slice(128, 256), towers=2).all()


def test_lrn_is_the_papers_and_stays_within_a_tower():
    x = np.random.default_rng(0).normal(0, 30, (2, 3, 3, 12)).astype(np.float32)
    k, n, alpha, beta = 2, 5, 1e-4, 0.75
    expected = np.empty_like(x)
    for first, last in ((0, 6), (6, 12)):
        for i in range(first, last):
            low, high = max(first, i - n // 2), min(last, i + n // 2 + 1)
            squares = (x[..., low:high] ** 2).sum(-1)
            expected[..., i] = x[..., i] / (k + alpha * squares) ** beta
    np.testing.assert_allclose(lrn_by_tower(jnp.asarray(x), 2), expected, rtol=1e-5)
    assert np.abs(lrn_by_tower(jnp.asarray(x), 1) - expected).max() > 1e-3


def test_alexnet_starts_as_sec_5_says():
    net, x = models.create("alexnet", num_classes=10), images(67)
    params = jax.jit(  # what is left out is not computed
        lambda: {
            name: {k: v for k, v in leaf.items() if k == "bias" or name == "conv3"}
            for name, leaf in net.init(KEY, x)["params"].items()
        }
    )()
    ones = {name for name, leaf in params.items() if (leaf["bias"] == 1).all()}
    zeros = {name for name, leaf in params.items() if (leaf["bias"] == 0).all()}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert zeros == {"conv1", "conv3", "fc8"}
    assert abs(params["conv3"]["kernel"].std() - 0.01) < 1e-4


def test_half_the_kernels_leave_conv5_whole():
    shapes = param_shapes("alexnet", 227, towers=1, kernels="half")
    maps = [shapes[f"conv{i}"]["kernel"].shape[-1] for i in range(1, 6)]
    assert maps == [48, 128, 192, 192, 256]


def test_alexnet_stages():
    shapes = stage_shapes("alexnet", 227)
    assert [shapes[f"pool{i}"] for i in (1, 2, 5)] == [(27, 27, 96), (13, 13, 256), (6, 6, 256)]
    assert [shapes[f"conv{i}"] for i in range(1, 6)] == [
        (55, 55, 96),
        (27, 27, 256),
        (13, 13, 384),
        (13, 13, 384),
        (13, 13, 256),
    ]
    assert [shapes[f"fc{i}"] for i in (6, 7, 8)] == [(4096,), (4096,), (2,)]
    apart = stage_shapes("alexnet", 227, overlap=False)
    assert [apart[f"pool{i}"] for i in (1, 2, 5)] == [(27, 27, 96), (13, 13, 256), (6, 6, 256)]


def test_alexnet_of_gerons_table():
    """Table 13-2 from In to Out; its SAME would be 56x56 in conv1, and the same from there on."""
    table = {
        "conv1": (55, 55, 96),
        "pool1": (27, 27, 96),
        "conv2": (27, 27, 256),
        "pool2": (13, 13, 256),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 384),
        "conv5": (13, 13, 256),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (2,),
    }
    norms = {"lrn1": (55, 55, 96), "lrn2": (27, 27, 256)}
    assert stage_shapes("alexnet_geron", 224) == {**table, **norms}
    same = stage_shapes("alexnet_geron", 224, border="same")
    assert same == {**table, **norms, "conv1": (56, 56, 96), "lrn1": (56, 56, 96)}


def test_one_row_of_zeros_above_and_two_below_make_224_227():
    x = np.random.default_rng(0).normal(size=(1, 64, 64, 3)).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=(11, 11, 3, 48)).astype(np.float32)

    def conv1(border, x):
        options = {"head": "avg", "overlap": False, "kernels": "half", "border": border}
        net = models.create("alexnet", num_classes=2, towers=1, **options)
        shapes = jax.eval_shape(net.init, KEY, x)

        @jax.jit  # what is left out is not computed
        def stage():
            params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
            params["params"]["conv1"]["kernel"] = kernel
            _, state = net.apply(params, x, capture_intermediates=True, mutable=["intermediates"])
            return jax.tree.leaves(state["intermediates"]["conv1"])[0]

        return stage()

    padded = np.pad(x, [(0, 0), (1, 2), (1, 2), (0, 0)])
    np.testing.assert_allclose(
        conv1("to_227", jnp.asarray(x)), conv1("none", jnp.asarray(padded)), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("border", ["none", "to_227", "same"])
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("last_pool", [True, False])
def test_the_smallest_image_leaves_one_pixel(border, overlap, last_pool):
    side = smallest_image(border, overlap, last_pool)
    options = {"border": border, "overlap": overlap, "last_pool": last_pool}
    assert stage_shapes("alexnet", side, **options)["pool2"][0] == (
        1 if not last_pool else 3 if overlap else 2
    )
    with pytest.raises(UserError, match=f"at least {side}x{side} pixels, not {side - 1}x"):
        stage_shapes("alexnet", side - 1, **options)


def test_lrn_by_depth_radius_is_tensorflows():
    """TensorFlow: x / (bias + alpha * sum of x^2 from d - r to d + r) ** beta."""
    x = np.random.default_rng(1).normal(0, 90, (1, 2, 2, 12)).astype(np.float32)
    radius, alpha, bias = 3, 2e-5, 1.0
    padded = np.pad(x**2, [(0, 0)] * 3 + [(radius, radius)])
    sums = sum(padded[..., i : i + 12] for i in range(2 * radius + 1))
    expected = x / (bias + alpha * sums) ** 0.75
    found = lrn_by_tower(jnp.asarray(x), 1, radius, alpha, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_alexnet_hands_its_lrn_the_options():
    x = images(67) * 100
    net = models.create(
        "alexnet", num_classes=2, towers=1, head="avg", lrn_depth_radius=4, lrn_alpha=1.0, lrn_k=3.0
    )
    shapes = jax.eval_shape(net.init, KEY, x)

    @jax.jit  # what is left out is not computed
    def stages():
        params = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 1e-3), shapes)
        _, state = net.apply(params, x, capture_intermediates=True, mutable=["intermediates"])
        return [state["intermediates"][name] for name in ("conv1", "lrn1")]

    conv1, lrn1 = stages()
    expected = lrn_by_tower(nn.relu(conv1["__call__"][0]), 1, 4, 1.0, 3.0)
    np.testing.assert_allclose(lrn1[0], expected, rtol=1e-5)


def test_three_3x3_see_7x7_for_27_of_49_weights():
    """Simonyan & Zisserman 2015, sec. 2.3: 27 C^2 against 49 C^2, without the biases."""
    stacked, single = (param_shapes("vgg16", 32, stacked=s) for s in (True, False))
    threes = [np.prod(stacked[f"conv5_{i}"]["kernel"].shape) for i in (1, 2, 3)]
    seven = np.prod(single["conv5_1"]["kernel"].shape)
    assert (sum(threes), seven) == (27 * 512**2, 49 * 512**2)
    three = Window().slide(3, 1, 1).slide(3, 1, 1).slide(3, 1, 1)
    assert three == Window().slide(7, 1, 3)
    assert three.size == 7


def test_alexnet_torchvision_stages():
    shapes = stage_shapes("alexnet_torchvision", 224)  # torchvision's features.0 to features.12
    assert {name: shape for name, shape in shapes.items() if shape[:-1]} == {
        "conv1": (55, 55, 64),
        "pool1": (27, 27, 64),
        "conv2": (27, 27, 192),
        "pool2": (13, 13, 192),
        "conv3": (13, 13, 384),
        "conv4": (13, 13, 256),
        "conv5": (13, 13, 256),
        "pool5": (6, 6, 256),
    }


def test_vgg16_stages():
    shapes = stage_shapes("vgg16", 224)  # torchvision's features
    blocks = {1: (224, 64, 2), 2: (112, 128, 2), 3: (56, 256, 3), 4: (28, 512, 3), 5: (14, 512, 3)}
    for block, (side, width, count) in blocks.items():
        for i in range(1, count + 1):
            assert shapes.pop(f"conv{block}_{i}") == (side, side, width)
        assert shapes.pop(f"pool{block}") == (side // 2, side // 2, width)
    assert shapes == {"fc6": (4096,), "fc7": (4096,), "fc8": (2,)}


def test_a_quarter_of_the_width_is_one_of_every_layer():
    whole, thin = (param_shapes("vgg11", 64, width=width) for width in (1.0, 0.25))
    outputs = {name: layer["kernel"].shape[-1] for name, layer in whole.items()}
    found = {name: layer["kernel"].shape[-1] for name, layer in thin.items()}
    assert found == {name: 2 if name == "fc8" else n // 4 for name, n in outputs.items()}
    assert (outputs["fc6"], outputs["fc7"]) == (4096, 4096)


def test_column_c_ends_its_deep_blocks_with_1x1():
    shapes = param_shapes("vgg16_c", 32)
    sides = {name: leaf["kernel"].shape[0] for name, leaf in shapes.items() if "conv" in name}
    assert {name for name, side in sides.items() if side == 1} == {"conv3_3", "conv4_3", "conv5_3"}
    assert {side for name, side in sides.items() if not name.endswith("_3")} == {3}


def test_unstacked_convolutions_keep_the_field():
    shapes = param_shapes("vgg13", 32, stacked=False)
    assert [shapes[f"conv{i}_1"]["kernel"].shape[:2] for i in range(1, 6)] == [(5, 5)] * 5
    shapes = param_shapes("vgg16", 32, stacked=False)
    assert shapes["conv5_1"]["kernel"].shape[:2] == (7, 7)


def test_lrn_of_column_a_lrn_follows_its_first_convolution():
    assert "lrn1" in stage_shapes("vgg11_lrn", 32)
    assert "lrn1" not in stage_shapes("vgg11", 32)


def adaptive_by_hand(x, size):
    out = np.zeros((x.shape[0], size, size, x.shape[3]))
    rows, columns = x.shape[1:3]
    for i in range(size):
        for j in range(size):
            top, bottom = i * rows // size, -(-(i + 1) * rows // size)
            left, right = j * columns // size, -(-(j + 1) * columns // size)
            out[:, i, j] = x[:, top:bottom, left:right].mean((1, 2))
    return out


@pytest.mark.parametrize("shape", [(14, 14), (13, 9), (3, 2), (1, 1), (6, 6)])
def test_adaptive_pool_cuts_as_torch(shape):
    x = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    np.testing.assert_allclose(
        adaptive_avg_pool(jnp.asarray(x), 6), adaptive_by_hand(x, 6), atol=1e-6
    )


def test_adaptive_nets_keep_fc6_at_any_size():
    for name, size in [("alexnet_torchvision", 96), ("vgg11_bn", 64)]:
        paper = models.REGISTRY[name].input_shape[0]
        assert param_shapes(name, size)["fc6"] == param_shapes(name, paper)["fc6"]
    assert param_shapes("vgg11", 64)["fc6"]["kernel"].shape == (4 * 512, 4096)


@pytest.mark.parametrize(
    ("name", "options", "minimum"),
    [
        ("alexnet", {}, 67),
        ("alexnet", {"overlap": False}, 39),
        ("alexnet_torchvision", {}, 63),
        ("vgg16", {}, 32),
    ],
)
def test_smallest_input(name, options, minimum):
    assert all(0 not in shape for shape in stage_shapes(name, minimum, **options).values())
    with pytest.raises(UserError, match=f"at least {minimum}x{minimum} pixels"):
        stage_shapes(name, minimum - 1, **options)


def dense_part(name, train):
    """The dense layers and dropouts of a net in the order of their calls."""
    net, calls = models.create(name), []

    def record(call, args, kwargs, context):
        module = context.module
        if isinstance(module, (nn.Dense, ConvolutionalDense)):
            calls.append(module.name)
        if isinstance(module, nn.Dropout) and not module.deterministic:
            calls.append(module.rate)
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, *models.REGISTRY[name].input_shape), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(
            lambda x: net.init({"params": KEY, "dropout": KEY}, x, train=train)["params"], image
        )
    return calls


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_dropout_follows_fc6_and_fc7(name):
    assert dense_part(name, train=True) == ["fc6", 0.5, "fc7", 0.5, "fc8"]
    assert dense_part(name, train=False) == ["fc6", "fc7", "fc8"]


def test_torchvision_drops_before_fc6():
    expected = [0.5, "fc6", 0.5, "fc7", "fc8"]
    assert dense_part("alexnet_torchvision", train=True) == expected


def test_lrn_has_a_gradient_when_compiled():
    gradient = jax.jit(jax.grad(lambda x: lrn_by_tower(x, 1).sum()))(jnp.ones((1, 1, 1, 3)))
    sums, total = 2 + 3e-4, 3  # each map has three neighbours, itself included, of square 1
    expected = sums**-0.75 - total * 0.75 * sums**-1.75 * 2e-4
    np.testing.assert_allclose(gradient, np.full((1, 1, 1, 3), expected), rtol=1e-5)


@functools.cache
def centred_photographs(size):
    """Three squares of each of scikit-learn's two photographs, grey levels minus their means."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    wide = [
        np.asarray(Image.fromarray(i).resize((size * 3 // 2, size)))
        for i in load_sample_images().images
    ]
    pixels = np.stack([w[:, s : s + size] for w in wide for s in (0, size // 4, size // 2)])
    return np.float32(pixels - pixels.mean((0, 1, 2)))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "size", "before", "after"),
    [
        ("alexnet", 227, "conv1", "lrn1"),
        ("vgg11_lrn", 64, "conv1_1", "lrn1"),
    ],
)
def test_lrn_divides_at_the_papers_scale_and_at_unit_deviation_does_not(name, size, before, after):
    """Its factor of each value as the net starts: 2^-0.75 = 0.5946 is none of the maps' doing."""
    net = models.create(name, num_classes=2, head="avg")
    variables = net.init(KEY, jnp.zeros((1, size, size, 3)))

    def factors(images):
        _, state = net.apply(
            variables, jnp.asarray(images), capture_intermediates=True, mutable=["intermediates"]
        )
        kept = state["intermediates"]
        x, y = np.asarray(kept[before]["__call__"][0]), np.asarray(kept[after][0])
        return y[x > 1e-3] / x[x > 1e-3]

    images = centred_photographs(size)
    grey, unit = factors(images), factors(images / images.std((0, 1, 2)))
    assert unit.min() > 0.5944
    np.testing.assert_allclose(unit.max(), 2**-0.75, rtol=1e-5)
    assert grey.min() < 0.55
    np.testing.assert_allclose(grey.max(), 2**-0.75, rtol=1e-3)


def test_no_width_leaves_a_layer_without_channels():
    net = models.create("vgg16", num_classes=2, width=1e-9)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), image)["params"]
    assert shapes["conv1_1"]["kernel"].shape == (3, 3, 3, 1)
    assert shapes["fc7"]["kernel"].shape == (1, 1)
