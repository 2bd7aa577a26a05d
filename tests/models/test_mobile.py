"""MobileNets, EfficientNets and ConvNeXt: shapes of the papers' tables, options, random depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.stages import summarize
from cnn_jax.errors import UserError
from cnn_jax.models import convnext
from cnn_jax.models.layers import ConvUnit, InvertedResidual, make_divisible

KEY = jax.random.key(0)


def stages(name, **options):
    shape = models.REGISTRY[name].input_shape
    return {s.name: s for s in summarize(models.create(name, **options), shape).stages}


def outputs(name, *names):
    found = stages(name)
    return [(found[n].output[0], found[n].output[-1]) for n in names]


@pytest.mark.heavy
def test_stage_shapes_of_the_papers_tables():
    """Side and channels at 224 pixels."""
    assert outputs("mobilenet_v1", "conv1", "block1", "block3", "block5", "block11", "block13") == [
        (112, 32), (112, 64), (56, 128), (28, 256), (14, 512), (7, 1024),
    ]  # fmt: skip
    blocks = [f"bottleneck{i}" for i in (1, 3, 6, 10, 13, 16, 17)]
    assert outputs("mobilenet_v2", "conv_first", *blocks, "conv_last") == [
        (112, 32), (112, 16), (56, 24), (28, 32), (14, 64), (14, 96), (7, 160), (7, 320), (7, 1280),
    ]  # fmt: skip
    blocks = [f"bneck{i}" for i in (1, 3, 6, 10, 12, 15)]
    assert outputs("mobilenet_v3_large", *blocks, "conv_last") == [
        (112, 16), (56, 24), (28, 40), (14, 80), (14, 112), (7, 160), (7, 960),
    ]  # fmt: skip
    blocks = [f"bneck{i}" for i in (1, 3, 6, 8, 11)]
    assert outputs("mobilenet_v3_small", *blocks, "conv_last") == [
        (56, 16), (28, 24), (14, 40), (14, 48), (7, 96), (7, 576),
    ]  # fmt: skip
    last = ["stage2_0", "stage3_1", "stage4_1", "stage5_2", "stage6_2", "stage7_3", "stage8_0"]
    assert outputs("efficientnet_b0", "stage1", *last, "stage9") == [
        (112, 32), (112, 16), (56, 24), (28, 40), (14, 80), (14, 112), (7, 192), (7, 320),
        (7, 1280),
    ]  # fmt: skip
    last = ["stage1_2", "stage2_2", "stage3_8", "stage4_2"]
    assert outputs("convnext_tiny", "stem", *last) == [
        (56, 96), (56, 96), (28, 192), (14, 384), (7, 768),
    ]  # fmt: skip


@pytest.mark.heavy
def test_depthwise_layers_filter_each_map_alone():
    for name, count in (("mobilenet_v1", 13), ("mobilenet_v2", 17), ("efficientnet_b0", 16)):
        layers = [x for s in stages(name).values() for x in s.layers if "depthwise" in x.path]
        assert len(layers) == count
        assert all(x.groups == x.output[-1] for x in layers)


def test_divisible_rounds_to_eights_but_never_loses_a_tenth():
    assert [make_divisible(c) for c in (4, 18, 20, 10, 36, 1280)] == [8, 24, 24, 16, 40, 1280]


@pytest.mark.heavy
def test_width_option_is_the_registered_width():
    half = summarize(models.create("mobilenet_v1", width=0.5), (224, 224, 3))
    assert half.parameters == 1331592
    assert stages("mobilenet_v2", width=0.5)["conv_last"].output == (7, 7, 1280)


@pytest.mark.heavy
def test_shortcuts_of_mobilenet_v2_join_the_thin_ends():
    """10 of the 17 bottlenecks keep their shape (table 2: n - 1 in each group)."""
    x = np.ones((1, 32, 32, 3), np.float32)
    program = {}
    for shortcut in (True, False):
        net = models.create("mobilenet_v2", shortcut=shortcut)
        variables = jax.eval_shape(lambda x, net=net: net.init(KEY, x), x)
        jaxpr = jax.make_jaxpr(lambda v, x, net=net: net.apply(v, x).logits)(variables, x)
        program[shortcut] = [e.primitive.name for e in jaxpr.eqns].count("add")
    assert program[True] - program[False] == 10


@pytest.mark.heavy
def test_linear_bottleneck_is_linear():
    found = {}
    x = np.random.RandomState(0).randn(1, 64, 64, 3).astype(np.float32)
    for linear in (True, False):
        net = models.create("mobilenet_v2", num_classes=2, width=0.25, linear_bottleneck=linear)
        variables = jax.eval_shape(lambda x, net=net: net.init(KEY, x), x)
        random = np.random.RandomState(1)
        variables = jax.tree.map(lambda a, r=random: r.uniform(-0.4, 0.6, a.shape) ** 2, variables)
        variables["params"]["bottleneck1"]["project_norm"]["bias"] -= 3.0

        def first(x, net=net, variables=variables):
            _, state = net.apply(
                variables, x, capture_intermediates=True, mutable=["intermediates"]
            )
            return state["intermediates"]["bottleneck1"]["__call__"][0]

        found[linear] = jax.jit(first)(x).min()
    assert found[True] < 0 == found[False]


def drop_statistics(block, still, x, variables, draws):
    """How often a training block left its branch out, and the branch's mean size if not."""
    kept = still.apply(variables, x) - x

    def branch(key):
        out = block.apply(variables, x, rngs={"dropout": key}) - x
        return out[:, 0, 0, 0] / kept[:, 0, 0, 0]

    return np.asarray(jax.jit(jax.vmap(branch))(jax.random.split(KEY, draws)))


@pytest.mark.parametrize(
    "paper", ["efficientnet", pytest.param("convnext", marks=pytest.mark.slow)]
)
def test_stochastic_depth_drops_whole_branches_and_scales_the_others(paper):
    """A branch survives with probability 1 - drop, example by example, and keeps its mean."""
    x = jnp.asarray(np.random.RandomState(0).uniform(0.5, 1, (8, 4, 4, 4)), jnp.float32)
    if paper == "convnext":
        block = convnext.Block(lambda x, name: x, layer_scale=1.0, drop_rate=0.25, train=True)
        still = block.clone(train=False)
    else:
        unit = ConvUnit(train=True, norm="none", activation="silu")
        block = InvertedResidual(4, expanded=4, unit=unit, drop_rate=0.25)
        still = block.clone(unit=unit.replace(train=False))
    variables = jax.jit(block.init)({"params": KEY, "dropout": KEY}, x)
    ratio = drop_statistics(block, still, x, variables, draws=500)
    kept = ratio > 0.5
    assert abs(kept.mean() - 0.75) < 0.03  # 4,000 draws: four deviations
    np.testing.assert_allclose(ratio[kept], 1 / 0.75, rtol=3e-2)
    np.testing.assert_allclose(ratio[~kept], 0, atol=1e-4)
    assert kept.mean(1).std() > 0  # the examples of a batch draw apart


def test_stochastic_depth_rises_over_the_blocks():
    """Evaluation draws nothing; the first block never drops; rates are the papers' lines."""
    rates = []

    class Spy(convnext.Block):
        def __post_init__(self):
            rates.append(self.drop_rate)
            super().__post_init__()

    original, convnext.Block = convnext.Block, Spy
    try:
        net = models.create("convnext_tiny")
        jax.eval_shape(lambda x: net.init(KEY, x), jnp.ones((1, 32, 32, 3)))
    finally:
        convnext.Block = original
    rates = list(dict.fromkeys(rates))
    np.testing.assert_allclose(rates, np.linspace(0, 0.1, 18))


@pytest.mark.heavy
def test_layer_scale_starts_small_and_can_be_left_out():
    net = models.create("convnext_tiny", num_classes=2)
    shapes = jax.eval_shape(lambda x: net.init(KEY, x), jnp.ones((1, 32, 32, 3)))
    assert shapes["params"]["stage1_0"]["layer_scale"].shape == (96,)
    without = summarize(models.create("convnext_tiny", layer_scale=0.0), (224, 224, 3))
    assert without.parameters == 28589128 - 3 * (96 + 192 + 768) - 9 * 384


def test_convnext_needs_its_five_halvings():
    with pytest.raises(UserError, match="at least 32x32 pixels, not 31x31"):
        summarize(models.create("convnext_tiny"), (31, 31, 3))


@pytest.mark.slow
def test_compound_scaling_multiplies_depth_and_width():
    b0, deep = stages("efficientnet_b0"), stages("efficientnet_b0", depth=1.8)
    assert sum("stage" in name for name in b0) == 18
    assert sum("stage" in name for name in deep) == 2 + sum((2, 4, 4, 6, 6, 8, 2))
    assert stages("efficientnet_b0", width=1.4)["stage9"].output[-1] == 1792
