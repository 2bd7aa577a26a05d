"""Receptive fields: published numbers, and what gradients measure."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import models
from cnn_jax.analysis.published import published_figures
from cnn_jax.analysis.receptive import Window, propagate
from cnn_jax.analysis.stages import summarize
from cnn_jax.models.layers import avg_pool, max_pool

PUBLISHED = {
    name: row.receptive_field
    for name, row in published_figures().items()
    if row.receptive_field and not name.startswith("inception")
}


def field(function, size, channels=2):
    """The windows of a function's rows and columns, for images [1, size, size, channels]."""
    images = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    jaxpr = jax.make_jaxpr(function)(images).jaxpr
    (out,) = propagate(jaxpr, [{1: Window(), 2: Window()}], lambda *_: None)
    return out


def measured(function, size, position, channels=2):
    """First and last row and column that move the output at `position` = (row, column)."""
    images = jax.random.uniform(jax.random.key(1), (1, size, size, channels), minval=0.5)
    gradient = jax.grad(lambda x: function(x)[0, *position].sum())(images)
    moved = np.abs(np.asarray(gradient))[0].sum(-1) > 0
    rows, columns = np.flatnonzero(moved.any(1)), np.flatnonzero(moved.any(0))
    return (rows[0], rows[-1]), (columns[0], columns[-1])


def expected(windows, position):
    return tuple(
        (windows[axis].jump * p + windows[axis].low, windows[axis].jump * p + windows[axis].high)
        for axis, p in zip((1, 2), position, strict=True)
    )


def kernel(height, width, channels=2, out=2):
    return jax.random.uniform(jax.random.key(0), (height, width, channels, out), minval=0.1)


def convolve(x, height, width, **options):
    options = {"window_strides": (1, 1), "padding": "SAME", **options}
    dims = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel(height, width), dimension_numbers=dims, **options)


OPERATIONS = {
    "stride": lambda x: convolve(x, 3, 3, window_strides=(2, 2)),
    "oblong": lambda x: convolve(x, 1, 7),
    "dilation": lambda x: convolve(x, 3, 3, rhs_dilation=(2, 3)),
    "uneven padding": lambda x: convolve(x, 4, 4, padding=[(3, 0), (1, 2)]),
    "channels first": lambda x: jnp.moveaxis(
        jax.lax.conv(jnp.moveaxis(x, 3, 1), jnp.ones((2, 2, 3, 5)), (1, 2), "SAME"), 1, 3
    ),
    "average": lambda x: avg_pool(convolve(x, 3, 3), 3, 2, padding=1),
    "ceil mode": lambda x: avg_pool(convolve(x, 3, 3), 3, 2, ceil=True),
    "residual": lambda x: x[:, ::2, ::2] + convolve(convolve(x, 3, 3), 3, 3, window_strides=(2, 2)),
    "branches": lambda x: jnp.concatenate([convolve(x, 5, 5), convolve(x, 1, 1)], -1),
    "shifted sums": lambda x: sum(
        jnp.pad(x, [(0, 0), (1, 1), (2, 0), (0, 0)])[:, i : i + 18, 1:19] for i in range(3)
    ),
    "reshape": lambda x: convolve(x, 3, 3).reshape(1, 20, 20, 1, 2)[..., 0, :],
    "gate": lambda x: convolve(x, 3, 3) * 2.0,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_agrees_with_gradients(name):
    function = OPERATIONS[name]
    shape = jax.eval_shape(function, jnp.ones((1, 20, 20, 2))).shape
    position = (shape[1] // 2, shape[2] // 2)
    assert measured(function, 20, position) == expected(field(function, 20), position)


def test_a_gate_over_the_whole_image_does_not_count():
    def gated(x):
        y = convolve(x, 3, 3)
        return y * jax.nn.sigmoid(y.mean((1, 2), keepdims=True))

    assert field(gated, 20) == {1: Window(1, -1, 1), 2: Window(1, -1, 1)}


def test_nothing_is_seen_in_part_after_flattening():
    assert field(lambda x: max_pool(x, 2, 2).reshape(1, -1), 8) == {}


@pytest.mark.parametrize("name", [*PUBLISHED, "resnet50_v1_5"])
def test_published_fields(name):
    """Araujo, Norris, Sim 2019; with strides in the 3x3, every 3x3 at a stage's start sees less."""
    rows, columns = summarize(models.create(name), models.REGISTRY[name].input_shape).windows
    assert rows.size == columns.size == PUBLISHED.get(name, 427)


def test_published_table_has_the_papers_numbers():
    assert PUBLISHED == {
        "alexnet": 195,
        "vgg16": 212,
        "bn_inception": 699,
        "resnet50": 483,
        "resnet101": 1027,
        "resnet152": 1507,
        "mobilenet_v1": 315,
    }


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("inception_v3", 1311), ("inception_v4", 2071)])
def test_published_fields_of_wide_nets(name, size):
    rows, columns = summarize(models.create(name), models.REGISTRY[name].input_shape).windows
    assert rows.size == columns.size == size


@pytest.mark.heavy
def test_gradients_measure_the_same_field_in_a_net():
    """A plain net without its non-linearities: every pixel of the field moves the output."""
    net = models.create("plain20_cifar", activation="none", norm="none")
    size, stage = 192, "layer2_2"
    summary = summarize(net, (size, size, 3))
    windows = next(s.windows for s in summary.stages if s.name == stage)
    variables = jax.eval_shape(lambda x: net.init(jax.random.key(0), x), jnp.ones((1, 64, 64, 3)))
    positive = jax.tree.map(lambda a: np.full(a.shape, 0.1, np.float32), variables)

    def output(x):
        _, state = net.apply(positive, x, capture_intermediates=True, mutable=["intermediates"])
        return state["intermediates"][stage]["__call__"][0]

    position = (size // 4, size // 4 + 3)
    extent = measured(jax.jit(output), size, position, channels=3)
    assert extent == expected(dict(zip((1, 2), windows, strict=True)), position)
    assert (windows[0].size, windows[0].jump) == (37, 2)


class Pools(nn.Module):
    """A branch of its own, a pool of no name, and the classifier."""

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.Conv(4, (3, 3), padding=1, name="conv1")(images)
        x = max_pool(x, 3, 2)
        return models.Output(nn.Dense(2, name="fc")(x.mean((1, 2))))


def test_pools_are_stages_too():
    stages = summarize(Pools(), (9, 9, 3)).stages
    assert [stage.layers[0].kind for stage in stages] == [
        "conv",
        "max_pool",
        "global_pool",
        "dense",
    ]
    pool = stages[1].layers[0]
    assert (pool.kernel, pool.stride, pool.padding) == ((3, 3), (2, 2), (0, 0))
    assert pool.output == (4, 4, 4)
    assert pool.windows[0] == Window(2, -1, 3)
