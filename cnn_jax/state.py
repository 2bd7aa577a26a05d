"""What training carries from step to step: one immutable value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from cnn_jax import ops
from cnn_jax.ops import pieces

Tree = Any


class TrainState(flax.struct.PyTreeNode):
    """Everything that a checkpoint must hold to go on with the same bits.

    `params`, `batch_stats`, `opt_state` and `average` are of what is trained at some time; what
    never is lies in `frozen`. With `parallel = "pmap"` every leaf of `batch_stats` (also in
    `average`) has a leading axis of one entry a device; all else is the same on every device.
    """

    step: jax.Array  # int32, updates done
    params: Tree
    batch_stats: Tree
    opt_state: optax.OptState
    average: Tree = None  # {"params", "batch_stats"}, exponential moving average, or None
    plateau: Any = None  # optax's state of the plateau schedule, or None
    frozen: Tree = None  # {"params", "batch_stats"} of what is never trained, or None

    @property
    def variables(self) -> dict[str, Tree]:
        """What evaluation uses, all of the net's: the averaged weights where there are any."""
        own = {"params": self.params, "batch_stats": self.batch_stats}
        own = own if self.average is None else self.average
        return own if self.frozen is None else merge(own, self.frozen)

    @property
    def numbers(self) -> dict[str, Tree]:
        """What must be finite. (The plateau's best loss is infinite before the first one.)"""
        names = ("params", "batch_stats", "opt_state", "average", "frozen")
        return {name: getattr(self, name) for name in names}


def finite(state: TrainState) -> jax.Array:
    """bool, one for each leaf of `state.numbers`.

    Leaves of the same shape are looked at together: of a deep net there are thousands.
    """
    leaves = jax.tree.leaves(state.numbers)
    alike: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        alike.setdefault((leaf.shape, leaf.dtype), []).append(i)
    together = (pieces.stack([leaves[i] for i in group]) for group in alike.values())
    found = [jnp.isfinite(stack).reshape(len(stack), -1).all(1) for stack in together]
    order = np.argsort([i for group in alike.values() for i in group])
    return jnp.concatenate(found)[order]


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
    return tuple(unflatten_dict(part, sep="/") for part in parts)


def named_key(seed: int | jax.Array, name: str) -> jax.Array:
    """The random stream `name` of a run; streams of different names are independent."""
    number = int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "big") % 2**31
    return jax.random.fold_in(jax.random.key(seed), number)


def init_variables(
    model: nn.Module, seed: int | jax.Array, image_shape: tuple[int, ...]
) -> dict[str, Tree]:
    """{"params", "batch_stats"} of a fresh net for images [H, W, C]; float32 whatever its dtype."""
    key = named_key(seed, "init")
    images = jnp.zeros((1, *image_shape), jnp.float32)
    with ops.plain():  # quicker to trace, and nothing of it is computed
        variables = model.init({"params": key, "dropout": key}, images, train=False)
    return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}
