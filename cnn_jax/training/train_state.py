"""What training carries from step to step: one immutable value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec

from cnn_jax.models.variables import Tree, merge
from cnn_jax.ops import flat_params

# Field -> its name in checkpoints, where that is another: names on disk never change.
SAVED_NAMES = {"ema_variables": "average", "lr_plateau_state": "plateau"}


class TrainState(flax.struct.PyTreeNode):
    """Everything that a checkpoint must hold to go on with the same bits.

    `params`, `batch_stats`, `opt_state` and `ema_variables` are of what is trained at some time;
    what never is lies in `frozen`. With `parallel = "pmap"` every leaf of `batch_stats` (also in
    `ema_variables`) has a leading axis of one entry a device; all else is the same on every device.
    """

    step: jax.Array  # int32, updates done
    params: Tree
    batch_stats: Tree
    opt_state: optax.OptState
    ema_variables: Tree = None  # {"params", "batch_stats"}, exponential moving average, or None
    lr_plateau_state: Any = None  # optax's state of the plateau schedule, or None
    frozen: Tree = None  # {"params", "batch_stats"} of what is never trained, or None
    rate_factor: Any = None  # float32, of every rate, where `on_nan` may lower it; else None

    @property
    def variables(self) -> dict[str, Tree]:
        """What evaluation uses, all of the net's: the averaged weights where there are any."""
        own = {"params": self.params, "batch_stats": self.batch_stats}
        own = own if self.ema_variables is None else self.ema_variables
        return own if self.frozen is None else merge(own, self.frozen)

    @property
    def numbers(self) -> dict[str, Tree]:
        """What must be finite. (The plateau's best loss is infinite before the first one.)"""
        names = ("params", "batch_stats", "opt_state", "ema_variables", "frozen")
        return {name: getattr(self, name) for name in names}

    def filled(self, fill: Callable[[Tree, str], Tree]) -> TrainState:
        """The state with other weights: `fill` takes a tree and how its names begin."""
        return self.replace(
            params=fill(self.params, "params/"),
            batch_stats=fill(self.batch_stats, "batch_stats/"),
            ema_variables=fill(self.ema_variables, ""),
            frozen=fill(self.frozen, ""),
        )

    def as_saved(self) -> dict[str, Any]:
        """The fields under the names that they have in checkpoints.

        `rate_factor` is part of the run's progress: any `on_nan` reads the same checkpoints.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["rate_factor"]
        return {SAVED_NAMES.get(name, name): value for name, value in fields.items()}

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> TrainState:
        """The state of `as_saved`."""
        names = {saved_name: name for name, saved_name in SAVED_NAMES.items()}
        return cls(**{names.get(name, name): value for name, value in saved.items()})


def finite(state: TrainState) -> jax.Array:
    """bool, one for each leaf of `state.numbers`.

    Leaves of the same shape are looked at together: of a deep net there are thousands.
    """
    leaves = jax.tree.leaves(state.numbers)
    groups: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        groups.setdefault((leaf.shape, leaf.dtype), []).append(i)
    stacks = (flat_params.stack([leaves[i] for i in group]) for group in groups.values())
    results = [jnp.isfinite(stack).reshape(len(stack), -1).all(1) for stack in stacks]
    order = np.argsort([i for group in groups.values() for i in group])
    return jnp.concatenate(results)[order]


def is_spec(value: Any) -> bool:
    return isinstance(value, PartitionSpec)


def map_stats(function: Callable[[Any], Any], state: TrainState) -> TrainState:
    """The state with `function` applied to every BatchNorm statistic."""
    change = lambda tree: jax.tree.map(function, tree, is_leaf=is_spec)  # noqa: E731
    ema = state.ema_variables
    if ema is not None:
        ema = {**ema, "batch_stats": change(ema["batch_stats"])}
    return state.replace(batch_stats=change(state.batch_stats), ema_variables=ema)
