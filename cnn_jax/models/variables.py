"""The variables of a net: made, merged and divided as nested dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax import ops
from cnn_jax.runtime.fresh_values import FreshValues
from cnn_jax.runtime.moves import moved
from cnn_jax.runtime.rng_streams import rng_stream

Tree = Any


def flatten(tree: Tree) -> dict[str, Any]:
    """Each leaf by its path, "params/conv1/kernel"."""
    return flatten_dict(tree, sep="/")


def merge(*trees: Tree) -> Tree:
    """One nested dict of several, no two of which have the same leaf; branches may be empty."""
    leaves = {path: leaf for tree in trees for path, leaf in flatten_dict(tree).items()}
    branches = {name: {} for tree in trees for name in tree}
    return branches | unflatten_dict(leaves)


def divide(tree: Tree, belongs: Callable[[str], bool]) -> tuple[Tree, Tree]:
    """(the leaves whose path, like "params/conv1/kernel", `belongs`; the others)."""
    parts: tuple[dict, dict] = ({}, {})
    for path, leaf in flatten_dict(tree, sep="/").items():
        parts[0 if belongs(path) else 1][path] = leaf
    return unflatten_dict(parts[0], sep="/"), unflatten_dict(parts[1], sep="/")


def init_variables(
    model: nn.Module, seed: int | jax.Array, image_shape: tuple[int, ...]
) -> dict[str, Tree]:
    """{"params", "batch_stats"} of a fresh net for images [H, W, C]; float32 whatever its dtype."""
    key = rng_stream(seed, "init")
    images = jnp.zeros((1, *image_shape), jnp.float32)
    with ops.reference_ops():  # quicker to trace, and nothing of it is computed
        variables = model.init({"params": key, "dropout": key}, images, train=False)
    return params_and_stats(variables)


def params_and_stats(variables: Mapping[str, Tree]) -> dict[str, Tree]:
    """Of all that a net has made: what a run keeps of it."""
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}


def fresh_variables(model: nn.Module, seed: int, image_shape: tuple[int, ...]) -> dict[str, Tree]:
    """`init_variables` of a seed, as arrays; no program is compiled for the net."""
    return moved(FreshValues(lambda seed: init_variables(model, seed, image_shape))(seed))


def fill_tree(values: Mapping[str, np.ndarray], tree: Tree, prefix: str = "") -> Tree:
    """`tree` with the values, each where its leaf lies; names begin with `prefix`."""

    def at(keys: Any, leaf: jax.Array) -> jax.Array:
        name = prefix + jax.tree_util.keystr(keys, simple=True, separator="/")
        value = values.get(name)
        if value is None:
            return leaf
        value = np.broadcast_to(value, leaf.shape)  # statistics of several replicas
        # A copy of its own: the step is given the state's memory to write in.
        return jax.device_put(value, leaf.sharding, may_alias=False)

    return jax.tree_util.tree_map_with_path(at, tree)
