"""Multiply-adds by the rule of modules against a count of every product in the traced program."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from cnn_jax import models, ops
from cnn_jax.analysis.stages import summarize


def products(jaxpr):
    """Multiply-adds of all convolutions and matrix products, from their operands' shapes."""
    total = 0
    for equation in jaxpr.eqns:
        shapes = [v.aval.shape for v in equation.invars]
        if equation.primitive.name == "conv_general_dilated":
            kernel = shapes[1]  # [height, width, channels of a group, out]
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(kernel[:3])
        elif equation.primitive.name == "dot_general":
            (axes, _), _ = equation.params["dimension_numbers"]
            summed = math.prod(shapes[0][axis] for axis in axes)
            total += math.prod(equation.outvars[0].aval.shape) * summed
        for key in ("jaxpr", "call_jaxpr"):
            if (inner := equation.params.get(key)) is not None:
                total += products(getattr(inner, "jaxpr", inner))
    return total


@pytest.mark.parametrize(
    "name",
    ["mlp", "lenet5", "alexnet", "vgg11", "resnet18", "resnet50_modified", "resnext50_32x4d",
     "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny"],
)  # fmt: skip
def test_rule_counts_every_product(name):
    net, shape = models.create(name), models.REGISTRY[name].input_shape
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    key = jax.random.key(0)  # one trace gives values to the variables, without a product, and uses
    with ops.reference_ops():
        program = jax.make_jaxpr(lambda x: net.init_with_output(key, x)[0].logits)(images)
    assert summarize(net, shape).multiply_adds == products(program.jaxpr)


@pytest.mark.heavy
def test_heads_are_parameters_but_no_multiply_adds():
    with_heads, without = (
        summarize(models.create("googlenet", auxiliary=auxiliary), (224, 224, 3))
        for auxiliary in (True, False)
    )
    assert with_heads.multiply_adds == without.multiply_adds
    assert with_heads.auxiliary_parameters == with_heads.parameters - without.parameters > 0
    assert with_heads.inference_parameters == without.parameters


class Twice(nn.Module):
    """One dense layer called twice."""

    @nn.compact
    def __call__(self, images, train=False):
        dense = nn.Dense(48, name="dense")
        return models.Output(dense(dense(images.reshape(1, -1))))


def test_a_shared_layer_counts_its_parameters_once_and_its_work_twice():
    summary = summarize(Twice(), (4, 4, 3))
    assert summary.parameters == summary.dense_parameters == 48 * 48 + 48
    assert summary.multiply_adds == 2 * 48 * 48
