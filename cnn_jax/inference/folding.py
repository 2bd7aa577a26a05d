"""BatchNorm taken into the layer before it: with fixed statistics it is a scale and a shift."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from cnn_jax.models.layers.batch_norm import BatchNorm
from cnn_jax.models.layers.dense import ConvolutionalDense
from cnn_jax.models.variables import Tree, flatten

LINEAR = (nn.Conv, nn.Dense, ConvolutionalDense)  # whose kernel's last axis is the outputs
Pairs = dict[str, tuple[str, BatchNorm]]  # path of a norm -> path of the layer before, the norm
FlatTree = dict[str, np.ndarray]


def pairs_of(model: nn.Module, variables: Tree, image_shape: tuple[int, ...]) -> Pairs:
    """The norms that take a linear layer's output as it is, each of the two used once.

    By an abstract trace: nothing is computed.
    """
    made: list[tuple[Any, str]] = []
    found: Pairs = {}
    calls: collections.Counter[str] = collections.Counter()

    def watch(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        result = call(*args, **kwargs)
        path = "/".join(context.module.path)
        if context.method_name != "__call__":
            return result
        calls[path] += 1
        if isinstance(context.module, LINEAR):
            made.append((result, path))
        elif isinstance(context.module, BatchNorm):
            layer = next((layer for output, layer in made if output is args[0]), None)
            if layer is not None:
                found[path] = (layer, context.module)
        return result

    def apply(variables: Tree, images: jax.Array) -> Any:
        with nn.intercept_methods(watch):
            return model.apply(variables, images, train=False)

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    jax.eval_shape(apply, variables, images)
    readers = collections.Counter(layer for layer, _ in found.values())
    return {
        path: (layer, norm)
        for path, (layer, norm) in found.items()
        if calls[path] == calls[layer] == readers[layer] == 1
    }


def fold(model: nn.Module, variables: Tree, image_shape: tuple[int, ...]) -> tuple[Callable, Tree]:
    """(apply(variables, images) -> the net's output, the variables that it takes).

    Kernels and biases before a norm are multiplied by scale / sqrt(var + epsilon); of the norm its
    shift remains, as its bias. A net that loops over blocks runs them one by one.
    """
    if getattr(model, "scan", False):
        model = model.clone(scan=False)
    pairs = pairs_of(model, variables, image_shape)
    flat = {name: np.asarray(value) for name, value in flatten(variables).items()}
    for path, (layer, norm) in pairs.items():
        fold_one(flat, path, layer, norm.epsilon)

    def shift_only(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__" or "/".join(module.path) not in pairs:
            return call(*args, **kwargs)
        x, bias = args[0], module.get_variable("params", "bias")
        dtype = module.dtype or jnp.result_type(x, bias)
        return (x + jax.lax.broadcast_to_rank(bias, x.ndim)).astype(dtype)

    def apply(variables: Tree, images: jax.Array) -> Any:
        with nn.intercept_methods(shift_only):
            return model.apply(variables, images, train=False)

    return apply, unflatten_dict(flat, sep="/")


def fold_one(flat: FlatTree, norm: str, layer: str, epsilon: float) -> None:
    """In float64, and back to the type that each tensor has."""
    bias, kernel = f"params/{norm}/bias", f"params/{layer}/kernel"
    mean, var = (flat.pop(f"batch_stats/{norm}/{name}") for name in ("mean", "var"))
    scale = flat.pop(f"params/{norm}/scale", np.ones_like(var))
    slope = np.float64(scale) / np.sqrt(np.float64(var) + epsilon)
    flat[bias] = (flat[bias] - mean * slope).astype(flat[bias].dtype)
    for name in (kernel, f"params/{layer}/bias"):
        if name in flat:
            flat[name] = (flat[name] * slope).astype(flat[name].dtype)
