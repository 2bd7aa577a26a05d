"""Residual nets: what each option does, by value and by count."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.stages import summarize
from cnn_jax.errors import UserError
from cnn_jax.models import resnet, resnet_cifar, resnet_v2_cifar
from cnn_jax.models.layers import ConvUnit, SqueezeExcitation, conv
from cnn_jax.models.layers.batch_norm import NoisyBatchNorm
from cnn_jax.models.resnet_v2 import HE_FAN_OUT, PreActivationBottleneck
from cnn_jax.models.resnet_v2_cifar import PreActivationBasicBlock
from cnn_jax.transfer.weight_maps import MAPS

KEY = jax.random.key(0)
UNIT = ConvUnit(train=False)  # outside a module it makes no parameters, and its call raises


def draw(shape, seed=0):
    return jnp.asarray(np.random.RandomState(seed).randn(*shape), jnp.float32)


def filled(variables, seed=1):
    """Variables of the same shapes with no default value left in them."""
    random = np.random.RandomState(seed)
    return jax.tree.map(lambda a: random.uniform(0.2, 0.8, a.shape).astype(np.float32), variables)


def make(module, *args, **kwargs):
    return filled(jax.eval_shape(functools.partial(module.init, KEY), *args, **kwargs))


def count(name, **options):
    shape = models.REGISTRY[name].input_shape
    return summarize(models.create(name, **options), shape)


def block(kind, features, stride, **options):
    return kind(features, stride, UNIT, lambda x: x, **options)


def test_shortcut_a_subsamples_and_pads_channels_with_zeros():
    x = draw((2, 5, 5, 3))
    out = resnet.shortcut("A", x, features=8, stride=2, unit=UNIT)
    expected = np.zeros((2, 3, 3, 8), np.float32)
    expected[..., :3] = x[:, ::2, ::2]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_shortcuts_keep_what_has_the_right_shape(kind):
    x = draw((1, 4, 4, 3))
    np.testing.assert_array_equal(resnet.shortcut(kind, x, 3, 1, unit=UNIT), x)


def test_a_plain_net_adds_nothing():
    assert resnet.shortcut("none", draw((1, 4, 4, 3)), 3, 1, unit=UNIT) is None


@pytest.mark.heavy
def test_pool1_is_the_releases_and_a_ports_is_one_pixel_away():
    """Without padding and with the last row that Caffe's ceil mode takes in."""
    x = np.random.RandomState(0).randn(1, 9, 9, 3).astype(np.float32)

    def pool1(**options):
        net = models.create("resnet18", num_classes=2, **options)
        images = jnp.asarray(np.repeat(np.repeat(x, 2, 1), 2, 2))  # conv1's map is 9x9
        variables = net.init(KEY, images)
        _, state = net.apply(variables, images, capture_intermediates=True, mutable=True)
        kept = state["intermediates"]
        before = np.maximum(np.asarray(kept["conv1"]["__call__"][0]), 0)
        return before, np.asarray(kept["pool1"][0])

    def by_hand(x, first, pad):
        x = np.pad(x, [(0, 0), (pad, 9), (pad, 9), (0, 0)], constant_values=-1)
        rows = [
            [x[0, i : i + 3, j : j + 3].max((0, 1)) for j in range(0, 2 * first, 2)]
            for i in range(0, 2 * first, 2)
        ]
        return np.array(rows)[None]

    before, found = pool1()
    np.testing.assert_allclose(found, by_hand(before, 4, 0), rtol=1e-4)
    before, padded = pool1(pool1="padded")
    np.testing.assert_allclose(padded, by_hand(before, 5, 1), rtol=1e-4)
    even = [models.create("resnet18", pool1=form) for form in ("unpadded", "padded")]
    sizes = {
        form.pool1: {s.name: s.output for s in summarize(form, (224, 224, 3)).stages}
        for form in even
    }
    assert sizes["unpadded"] == sizes["padded"]  # on maps of even size, 112 here


def test_the_ports_nets_have_the_ports_pool():
    for name, build in MAPS.items():
        options = models.REGISTRY[name].options()
        if "pool1" in options:
            assert build().options["pool1"] == "padded"
            assert options["pool1"].default == (
                "padded" if options.get("stride_in", ("", ""))[1] == "3x3" else "unpadded"
            )
    assert models.create("resnet18_d2l").pool1 == "padded"


@pytest.mark.heavy
def test_projections_are_where_the_paper_has_them():
    def projections(kind):
        layers = count("resnet34", shortcut=kind).layers
        return [layer.path for layer in layers if layer.path.endswith("/shortcut")]

    assert projections("none") == projections("A") == []
    assert projections("B") == [f"layer{i}_0/shortcut" for i in (2, 3, 4)]
    assert len(projections("C")) == 16


@pytest.mark.heavy
def test_a_plain_net_is_the_residual_net_without_its_shortcuts():
    """With the same parameters, a block of the plain net is the residual branch alone."""
    x = draw((1, 6, 6, 4))
    residual = block(resnet.BasicBlock, 4, 1, activation="none", shortcut="B")
    plain = block(resnet.BasicBlock, 4, 1, activation="none", shortcut="none")
    variables = make(residual, x)
    np.testing.assert_allclose(
        residual.apply(variables, x), plain.apply(variables, x) + x, rtol=1e-5, atol=1e-4
    )
    assert count("plain34").parameters == count("resnet34", shortcut="A").parameters


def test_a_shortcut_around_one_layer_and_a_norm_after_the_sum():
    """Kernels of 0 leave biases and shortcuts: two sums in one block, a normed sum in the other."""
    x, bias = draw((2, 4, 4, 3)), np.array([0.5, -1.0, 0.0], np.float32)
    unit = ConvUnit(train=False, norm="none")
    made = resnet_cifar.OneLayerBlocks(3, 1, unit, lambda y: y, shortcut="A")
    variables = jax.tree.map(np.zeros_like, make(made, x))
    for name in ("conv1", "conv2"):
        variables["params"][name]["bias"] = bias
    relu = lambda y: np.maximum(y, 0)  # noqa: E731
    expected = relu(relu(np.asarray(x) + bias) + bias)
    np.testing.assert_allclose(made.apply(variables, x), expected, rtol=1e-6)
    plain = resnet_cifar.OneLayerBlocks(3, 1, unit, lambda y: y, shortcut="none")
    np.testing.assert_array_equal(
        plain.apply(variables, x), np.broadcast_to(relu(bias), expected.shape)
    )
    made = block(resnet_cifar.NormLastBlock, 3, 1, shortcut="A")
    variables = make(made, x)
    variables["params"]["conv2"]["kernel"] *= 0
    mean, var = (variables["batch_stats"]["sum_norm"][key] for key in ("mean", "var"))
    scale, shift = (variables["params"]["sum_norm"][key] for key in ("scale", "bias"))
    expected = relu((np.asarray(x) - mean) / np.sqrt(var + 1e-5) * scale + shift)
    np.testing.assert_allclose(made.apply(variables, x), expected, rtol=1e-4, atol=1e-5)
    assert "conv2_norm" not in variables["params"]


@pytest.mark.heavy
def test_a_separable_block_filters_each_map_alone():
    """One map of the input is not 0: the first filter's output has one, too."""
    x = jnp.zeros((1, 4, 4, 3)).at[..., 1].set(draw((1, 4, 4)))
    made = resnet_cifar.SeparableBlock(6, 1, ConvUnit(train=False, norm="none"), lambda y: y)
    variables = make(made, x)
    assert variables["params"]["conv1_depthwise"]["kernel"].shape == (3, 3, 1, 3)
    assert variables["params"]["conv1"]["kernel"].shape == (1, 1, 3, 6)
    assert variables["params"]["conv2_depthwise"]["kernel"].shape == (3, 3, 1, 6)
    variables["params"]["conv1_depthwise"]["bias"] *= 0
    _, state = made.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])
    out = state["intermediates"]["conv1_depthwise"]["__call__"][0]
    assert (np.abs(out).max((0, 1, 2)) > 0).tolist() == [False, True, False]
    unit = ConvUnit(train=False, norm="none")
    strided = resnet_cifar.SeparableBlock(6, 2, unit, lambda y: y, shortcut="none")
    assert strided.apply(make(strided, x), x).shape == (1, 2, 2, 6)


def test_a_shortcut_without_norm_is_a_convolution_with_a_bias():
    """The branch's last scale and bias are 0, so that the shortcut alone is left."""
    x = draw((2, 6, 6, 3))
    made = block(resnet.BasicBlock, 4, 2, activation="none", shortcut_norm=False)
    variables = make(made, x)
    variables["params"]["conv2_norm"] = {"scale": np.zeros(4), "bias": np.zeros(4)}
    kernel, bias = (variables["params"]["shortcut"][k] for k in ("kernel", "bias"))
    expected = np.asarray(x)[:, ::2, ::2] @ kernel[0, 0] + bias
    np.testing.assert_allclose(made.apply(variables, x), expected, rtol=1e-5)


@pytest.mark.heavy
def test_the_textbooks_resnet_has_glorots_weights_and_every_bias():
    net = models.create("resnet18_d2l")
    params = jax.eval_shape(net.init, KEY, jnp.zeros((1, 32, 32, 1)))["params"]
    convolutions = {**params, **params["layer2_0"]}
    names = ("conv1", "conv2", "shortcut")
    assert all("bias" in convolutions[n] for n in names)
    assert "shortcut_norm" not in params["layer2_0"]
    small = models.create("resnet18_d2l", num_classes=512)
    dense = small.init(KEY, jnp.zeros((1, 2, 2, 1)))["params"]["fc"]["kernel"]  # [512, 512]
    limit = np.sqrt(6 / 1024)
    assert 0.99 * limit < np.abs(dense).max() <= limit


def test_two_layer_pre_activation_against_numpy():
    """Norm, ReLU, 3x3 with a stride; norm, ReLU, 3x3; plus every second pixel and zero maps."""
    x = draw((1, 4, 4, 2))
    scale, kernels = 0.5, (draw((3, 3, 2, 3), 1), draw((3, 3, 3, 3), 2))
    made = PreActivationBasicBlock(
        3,
        2,
        conv=functools.partial(conv, bias=False),
        pre_activate=lambda x, name: np.maximum(x * scale, 0),
        gate=lambda y: y,
    )
    params = {f"conv{i}": {"kernel": kernel} for i, kernel in enumerate(kernels, 1)}

    def convolve(x, kernel, stride):
        height, width = x.shape[1:3]
        x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        shifted = [x[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in np.ndindex(3, 3)]
        return sum(shifted)[:, ::stride, ::stride]

    y = convolve(np.maximum(x * scale, 0), kernels[0], 2)
    y = convolve(np.maximum(y * scale, 0), kernels[1], 1)
    y = y + np.pad(x[:, ::2, ::2], [(0, 0)] * 3 + [(0, 1)])
    np.testing.assert_allclose(made.apply({"params": params}, x), y, rtol=1e-4, atol=1e-5)


@pytest.mark.heavy
def test_the_first_activation_of_a_pre_activation_net_is_shared():
    """Of the whole net, the first block alone has no norm1, and a norm stands behind the last."""
    for name, count in (("resnet110_v2_cifar", 18), ("resnet164_v2_cifar", 18)):
        net = models.create(name)
        params = jax.eval_shape(net.init, KEY, jnp.zeros((1, 8, 8, 3)))["params"]
        blocks = [f"layer{level}_{i}" for level in (1, 2, 3) for i in range(count)]
        assert [block for block in blocks if "norm1" not in params[block]] == ["layer1_0"]
        assert set(params) == {"conv1", "conv1_norm", "norm", "fc", *blocks}
    assert [block for block in blocks if "shortcut" in params[block]] == [
        "layer1_0",
        "layer2_0",
        "layer3_0",
    ]


def test_what_the_activations_of_a_pre_activation_net_cut_off_is_gone():
    """By the first, before any block, no image is seen; by the last the dense layer's bias is."""
    net = resnet_v2_cifar.CifarResNetV2(num_classes=3, depth=8, bottleneck=False)
    x = draw((2, 8, 8, 3))
    variables = make(net, x)
    apply = jax.jit(lambda variables: net.apply(variables, x).logits)
    assert np.ptp(apply(variables), axis=0).min() > 0
    for name, far in (("conv1_norm", 1e4), ("norm", 1e20)):
        cut = jax.tree.map(np.array, variables)
        cut["params"][name]["bias"] -= far
        logits = apply(cut)
        np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], variables["params"]["fc"]["bias"])


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("kind", [resnet.BasicBlock, resnet.Bottleneck])
def test_zero_init_makes_a_block_the_identity(kind, norm):
    x = np.abs(draw((2, 5, 5, 8)))
    width = {"width": 2} if kind is resnet.Bottleneck else {}
    made = kind(
        8,
        1,
        ConvUnit(train=False, norm=norm),
        lambda y: y,
        zero_init=True,
        **width,
    )

    @jax.jit
    def start(x):
        ordinary = made.clone(zero_init=False)
        return made.apply(made.init(KEY, x), x), ordinary.apply(ordinary.init(KEY, x), x)

    identity, other = start(x)
    np.testing.assert_allclose(identity, x, rtol=1e-6)
    assert np.abs(other - x).max() > 0.1


def test_bottleneck_against_numpy():
    """1x1, 3x3 with stride, 1x1, each normalised; plus the projection; ReLU."""
    x = draw((2, 6, 6, 3))
    made = block(resnet.Bottleneck, 4, 2, width=2, stride_in="3x3")
    variables = make(made, x)

    def unit(x, name, stride=1):
        kernel = variables["params"][name]["kernel"]
        size = kernel.shape[0]
        pad = size // 2
        height, width = x.shape[1:3]
        x = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
        out = sum(
            x[:, i : i + height, j : j + width] @ kernel[i, j]
            for i in range(size)
            for j in range(size)
        )[:, ::stride, ::stride]
        scale, bias = (variables["params"][f"{name}_norm"][k] for k in ("scale", "bias"))
        mean, var = (variables["batch_stats"][f"{name}_norm"][k] for k in ("mean", "var"))
        return (out - mean) / np.sqrt(var + 1e-5) * scale + bias

    y = np.maximum(unit(x, "conv1"), 0)
    y = np.maximum(unit(y, "conv2", stride=2), 0)
    y = unit(y, "conv3") + unit(x, "shortcut", stride=2)
    np.testing.assert_allclose(made.apply(variables, x), np.maximum(y, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.heavy
def test_stride_in_moves_work_and_no_parameters():
    first, second = count("resnet50"), count("resnet50", stride_in="3x3")
    assert first.parameters == second.parameters
    assert (first.multiply_adds, second.multiply_adds) == (3857973248, 4089184256)
    assert [layer.stride[0] for layer in first.layers if layer.path == "layer2_0/conv1"] == [2]
    assert [layer.stride[0] for layer in second.layers if layer.path == "layer2_0/conv2"] == [2]
    assert count("resnet50_v1_5").multiply_adds == second.multiply_adds


@pytest.mark.heavy
def test_groups_and_width_make_the_other_nets():
    wide = count("resnet50_v1_5", bottleneck_width=128)
    assert wide.parameters == count("wide_resnet50_2").parameters
    grouped = count("resnet50_v1_5", bottleneck_width=128, groups=32)
    assert grouped.parameters == count("resnext50_32x4d").parameters
    with pytest.raises(UserError, match="groups=3 does not divide"):
        count("resnet50", groups=3)


def test_modified_is_all_three_options_of_one_net():
    modified = models.REGISTRY["resnet50_modified"].preset
    assert modified == {"depth": 50, "activation": "gelu", "depthwise": True, "attention": "cbam"}
    assert all(
        layer.groups == layer.output[-1]
        for layer in count("resnet50_modified").layers
        if layer.path.endswith("conv2")
    )


def test_a_basic_block_has_no_option_of_bottlenecks():
    with pytest.raises(UserError, match=r"model\.depthwise=True is no option of resnet18"):
        models.create("resnet18", depthwise=True)


def test_small_images_keep_their_pixels_with_the_small_stem():
    small = models.create("resnet18", stem="3x3")
    outputs = {stage.name: stage.output for stage in summarize(small, (32, 32, 3)).stages}
    assert outputs["conv1"] == outputs["layer1_0"] == (32, 32, 64)
    assert outputs["layer4_1"] == (4, 4, 512)


def test_pre_activation_leaves_the_way_through_free():
    """Nothing follows the addition: with an empty branch a block is the identity, also of negative
    values; and the shortcut of a block that changes shape starts from the activated input."""
    plain = functools.partial(conv, padding=0, bias=False)

    def make_block(features, stride):
        made = PreActivationBottleneck(
            features, stride, plain, lambda x, name: jax.nn.relu(x), lambda y: y
        )
        variables = make(made, x)
        variables["params"]["conv3"]["kernel"] *= 0
        return made, variables

    x = draw((1, 4, 4, 8))
    same, variables = make_block(8, 1)
    np.testing.assert_array_equal(jax.jit(same.apply)(variables, x), x)
    wider, variables = make_block(12, 2)
    projection = variables["params"]["shortcut"]["kernel"][0, 0]
    expected = np.maximum(x, 0)[:, ::2, ::2] @ projection
    np.testing.assert_allclose(jax.jit(wider.apply)(variables, x), expected, rtol=1e-5)


@pytest.mark.heavy
def test_v2_activates_before_the_pool_and_strides_first():
    """As the authors' release; timm's order and strides are options."""
    for options, first, second, sees_negative in (
        ({}, 2, 1, False),
        ({"stem": "pool_first", "stride_in": "3x3"}, 1, 2, True),
    ):
        net = models.create("resnet50_v2", 5, **options)
        summary = count("resnet50_v2", **options)
        strides = {layer.path: layer.stride[0] for layer in summary.layers if layer.stride}
        assert (strides["layer2_0/conv1"], strides["layer2_0/conv2"]) == (first, second)
        small = jnp.ones((1, 8, 8, 3))
        names = set(jax.eval_shape(net.init, KEY, small)["params"])
        assert ("conv1_norm" in names) != sees_negative


def test_v2_starts_by_fan_out():
    kernel = HE_FAN_OUT(KEY, (3, 3, 4, 512))
    np.testing.assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 512)), rtol=0.03)


def test_se_resnet_strides_in_the_first_1x1_and_imports_in_the_3x3():
    assert models.create("seresnet50").stride_in == "1x1"
    assert MAPS["seresnet50"]().options == {"pool1": "padded", "stride_in": "3x3"}
    assert MAPS["resnet50_v2"]().options == {"stem": "pool_first", "stride_in": "3x3"}


@pytest.mark.heavy
def test_cifar_depths_are_6n_plus_2():
    for depth in (20, 110):
        layers = count(f"resnet{depth}_cifar").layers
        assert sum(layer.kind in ("conv", "dense") for layer in layers) == depth
    outputs = {s.name: s.output for s in count("resnet20_cifar").stages}
    assert [outputs[f"layer{i}_2"] for i in (1, 2, 3)] == [(32, 32, 16), (16, 16, 32), (8, 8, 64)]


def test_squeeze_and_excitation_against_numpy():
    x = draw((2, 4, 5, 8))
    made = SqueezeExcitation(3)
    variables = make(made, x)
    one, two = variables["params"]["fc1"], variables["params"]["fc2"]
    z = np.maximum(np.asarray(x.mean((1, 2))) @ one["kernel"] + one["bias"], 0)
    gate = 1 / (1 + np.exp(-(z @ two["kernel"] + two["bias"])))
    np.testing.assert_allclose(made.apply(variables, x), x * gate[:, None, None], rtol=1e-5)
    hard = np.clip((z @ two["kernel"] + two["bias"] + 3) / 6, 0, 1)
    out = made.clone(gate="hard_sigmoid").apply(variables, x)
    np.testing.assert_allclose(out, x * hard[:, None, None], rtol=1e-5)


@pytest.mark.heavy
def test_glorots_start_is_an_option_of_the_cifar_nets():
    """The spread of a 3x3 kernel of 64 to 64 maps: sqrt(2 / (9 * 128)), He's sqrt(2 / (9 * 64))."""
    for initialiser, fans in (("glorot", 128), ("he", 64)):
        net = models.create("plain20_cifar", initialiser=initialiser)
        start = jax.jit(lambda net=net: net.init(KEY, jnp.zeros((1, 32, 32, 3))))()["params"]
        kernel = start["layer3_1"]["conv1"]["kernel"]
        assert kernel.shape == (3, 3, 64, 64)
        assert float(kernel.std()) == pytest.approx(np.sqrt(2 / (9 * fans)), rel=0.02)


def test_noise_after_batch_norm_is_one_shift_and_one_scale_a_channel():
    x = np.asarray(3 + 2 * draw((64, 4, 4, 5)))
    noisy = NoisyBatchNorm(train=True)
    images = jnp.asarray(x)
    variables = noisy.init({"params": KEY, "dropout": KEY}, images)
    outputs = []
    for seed in (1, 2):
        rngs = {"dropout": jax.random.key(seed)}
        outputs.append(
            np.asarray(noisy.apply(variables, images, rngs=rngs, mutable="batch_stats")[0])
        )
    moments = [(y.mean((0, 1, 2)), y.std((0, 1, 2))) for y in outputs]
    shift, scale = moments[0]
    assert np.abs(shift).max() > 0.1
    assert np.abs(shift - moments[1][0]).max() > 0.1
    plain = (x - x.mean((0, 1, 2), keepdims=True)) / np.sqrt(np.var(x, (0, 1, 2), keepdims=True))
    sign = np.sign(np.einsum("bhwc,bhwc->c", outputs[0], plain))
    np.testing.assert_allclose(outputs[0], plain * (sign * scale) + shift, atol=1e-3)
    still = NoisyBatchNorm(train=False).apply(variables, images)
    np.testing.assert_allclose(still, x / np.sqrt(1 + 1e-5), atol=1e-5)
