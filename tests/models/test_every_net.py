"""Every registered net on small images: finite, trainable in every parameter, train and bfloat16.

Compiled as quickly as XLA can. The ordinary run takes one net of each kind that is cheap; `-m slow`
the others, but those that are like another. Blocks of the deepest nets are one loop, and their
images are small.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax import models
from cnn_jax.errors import UserError

FAST = ("perceptron", "mlp", "lenet5_1998", "bn_lenet", "mobilenet_v1_025", "resnet20_cifar")
# Nothing differs but the number of blocks, their width and the rate of dropout from EfficientNet-B0
# and from ResNet-164 v2: they have no test of their own here.
LIKE_OTHERS = (*(f"efficientnet_b{n}" for n in range(1, 8)), "resnet1001_v2_cifar")
NAMES = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in models.names()
    if name not in LIKE_OTHERS
]
KEY = jax.random.key(0)
CLASSES, EXAMPLES = 5, 4
QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
DEEP = re.compile(r"(56|101|110|152|164|200|1001|1202)(_|$)")


def abstract(net, shape):
    images = jax.ShapeDtypeStruct((EXAMPLES, *shape), jnp.float32)
    rngs = {"params": KEY, "dropout": KEY}
    return jax.eval_shape(lambda x: net.init(rngs, x, train=True), images)


def smallest(name, net):
    """The shape of small images that the net takes: 32 pixels, or the minimum that it asks for."""
    height, _, channels = models.REGISTRY[name].input_shape
    side = 8 if name.endswith("_cifar") else min(32, height)
    shape = (side, side, channels)
    try:
        return shape, abstract(net, shape)
    except UserError as error:
        side = int(re.search(r"at least (\d+)x\1 pixels", str(error))[1])
        shape = (side, side, channels)
        return shape, abstract(net, shape)


def fill(name, variables):
    """Values that keep the signal of deep nets in range, sums of branches too; none is zero."""
    random = np.random.RandomState(0)
    ends = () if name.startswith("plain") else ("conv2_norm", "conv3_norm", "project_norm")

    def value(path, leaf):
        if path[-1] == "kernel":
            branch = "_v2" in name and path[-2] == "conv3"  # no norm is between it and the sum
            gain = 0.4 if branch else 1.0
            return random.randn(*leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1])) * gain
        if path[-1] == "scale":
            return random.uniform(0.8, 1.2, leaf.shape) * (0.4 if path[-2] in ends else 1.0)
        low, high = (0.8, 1.2) if path[-1] == "var" else (-0.1, 0.1)
        return random.uniform(low, high, leaf.shape)

    flat = {path: value(path, leaf) for path, leaf in flatten_dict(variables).items()}
    return unflatten_dict({path: np.float32(v) for path, v in flat.items()})


@pytest.mark.parametrize("name", NAMES)
def test_net(name):
    options = {"scan": True} if DEEP.search(name) and name.startswith("res") else {}
    net = models.create(name, num_classes=CLASSES, **options)
    half = models.create(name, num_classes=CLASSES, dtype=jnp.bfloat16, **options)
    shape, variables = smallest(name, net)
    variables = fill(name, variables)
    images = np.random.RandomState(1).randn(EXAMPLES, *shape).astype(np.float32)

    def loss(params, images):
        out, _ = net.apply(
            {**variables, "params": params},
            images,
            train=True,
            rngs={"dropout": KEY},
            mutable=["batch_stats"],
        )
        heads = (out.logits, *out.auxiliary)
        return -sum(jax.nn.log_softmax(logits)[:, 0].mean() for logits in heads), out

    @functools.partial(jax.jit, compiler_options=QUICKLY)
    def everything(variables, images):
        (_, trained), gradients = jax.value_and_grad(loss, has_aux=True)(
            variables["params"], images
        )
        largest = jax.tree.map(lambda g: jnp.abs(g).max(), gradients)
        evaluated = net.apply(variables, images)
        return trained, largest, evaluated, half.apply(variables, images).logits

    trained, largest, evaluated, rough = jax.device_get(everything(variables, images))
    logits = evaluated.logits
    assert logits.shape == (EXAMPLES, CLASSES)
    assert logits.dtype == np.float32
    assert evaluated.auxiliary == ()
    for out in (logits, trained.logits, *trained.auxiliary):
        assert np.isfinite(out).all()
    assert np.ptp(logits, axis=0).max() > 0, "the same logits for every image"

    for path, size in flatten_dict(largest, sep="/").items():
        assert np.isfinite(size), f"gradient of {path} is {size}"
        assert size > 0, f"no gradient reaches {path}"

    random = any(getattr(net, field, 0) for field in ("dropout", "stochastic_depth"))
    differ = np.abs(trained.logits - logits).max() > 1e-4 * np.abs(logits).max()
    assert differ == ("batch_stats" in variables or random)

    assert rough.dtype == jnp.bfloat16
    error = np.linalg.norm(np.float32(rough) - logits) / np.linalg.norm(logits)
    print(f"{name}: bfloat16 differs by {error:.4f}")
    assert error < 0.1
