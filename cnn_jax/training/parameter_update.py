"""The optimizer's update of all parameters, with small tensors joined where a net has many.

An update works number by number, or on matrices alone, so that it has the same results on either.
Tensor by tensor it is half of what XLA compiles for the CPU of a net like MobileNet v2, and minutes
of it for a net whose blocks are one loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from cnn_jax.models.variables import Tree
from cnn_jax.ops import flat_params

Joined = Literal["all", "small", "none"]  # small: where a net has many of them, on one CPU
SMALL = 2**16  # numbers of a tensor: joining larger ones costs time in every step
MANY = 64  # small tensors: fewer compile as quickly by themselves


@dataclasses.dataclass(frozen=True)
class ParameterUpdate:
    """`optimizer`, and which tensors it sees as one.

    `whole` is where gradients and new parameters lie, where its state is divided over devices: XLA
    would else divide the whole backward pass as it finds the state.
    """

    optimizer: optax.GradientTransformation
    joined: Joined = "none"
    whole: jax.sharding.Sharding | None = None

    def init(self, params: Tree) -> optax.OptState:
        """The optimizer's state, with the tensors of `params`."""
        if self.joined != "all":  # as `FreshValues` reads it
            return self.optimizer.init(params)
        pack, unpack = self._packing(params)
        return unpack(self.optimizer.init(pack(params)))

    def __call__(
        self, grads: Tree, opt_state: optax.OptState, params: Tree, factor: jax.Array | None = None
    ) -> tuple[Tree, optax.OptState, jax.Array]:
        """(new params, new state, the gradients' norm); `factor` is one more of the rate."""
        grads = self._made_whole(grads)
        pack, unpack = self._packing(params)
        grads, params, opt_state = pack(grads), pack(params), pack(opt_state)
        updates, opt_state = self.optimizer.update(grads, opt_state, params)
        if factor is not None:
            updates = jax.tree.map(lambda u: u * factor, updates)
        params = optax.apply_updates(params, updates)
        return self._made_whole(unpack(params)), unpack(opt_state), optax.tree.norm(grads)

    def moving_average(self, new: Tree, old: Tree, decay: jax.Array) -> Tree:
        """decay * old + (1 - decay) * new."""
        pack, unpack = self._packing(new)
        return unpack(optax.incremental_update(pack(new), pack(old), 1 - decay))

    def _made_whole(self, tree: Tree) -> Tree:
        return tree if self.whole is None else jax.lax.with_sharding_constraint(tree, self.whole)

    def _packing(self, like: Tree) -> tuple[Callable[[Tree], Tree], Callable[[Tree], Tree]]:
        if self.joined == "all":
            return flat_params.make_packing(like)
        small = [leaf for leaf in jax.tree.leaves(like) if leaf.size <= SMALL]
        if self.joined == "none" or len(small) < MANY or not flat_params.is_one_call(small):
            return unchanged, unchanged
        return flat_params.make_packing(like, SMALL)


def unchanged(tree: Tree) -> Tree:
    return tree


def warmed_up(decay: float, step: jax.Array) -> jax.Array:
    """The decay of the moving average at `step`: it rises, so that first weights are forgotten."""
    return jnp.minimum(decay, (1 + step) / (10 + step))
