"""Parts of an update that treat parameters by their path, "conv1/kernel"."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax


def labels(params: optax.Params, starts: Mapping[str, int]) -> optax.Params:
    """Each parameter's group: "from_0", or from the step that `starts` has."""
    return with_path(lambda path, _: f"from_{starts.get(path, 0)}", params)


def scale_by_path(factors: Mapping[str, float]) -> optax.GradientTransformation:
    """Multiplies the updates of some parameters, by path, each with its factor."""

    def update(updates: optax.Updates, _: optax.Params) -> optax.Updates:
        return with_path(lambda path, u: u * factors.get(path, 1.0), updates)

    return optax.stateless(update)


def add_scaled(
    decay: optax.GradientTransformation, factors: Mapping[str, float]
) -> optax.GradientTransformation:
    """Adds to the updates what `decay` adds to zeros, times a factor of some paths."""
    scale = scale_by_path(factors)

    def update(updates: optax.Updates, state: Any, params: Any = None) -> tuple:
        zeros = jax.tree.map(jnp.zeros_like, updates)
        added, state = decay.update(zeros, state, params)
        added, _ = scale.update(added, optax.EmptyState(), params)
        return jax.tree.map(jnp.add, updates, added), state

    return optax.GradientTransformation(decay.init, update)


def stop_at(stop: int, stops: Mapping[str, int]) -> optax.GradientTransformation:
    """Zero updates, from step `stop` on, of the paths that stop there."""
    ends = optax.scale_by_schedule(lambda step: jnp.where(step < stop, 1.0, 0.0))
    return optax.masked(ends, lambda p: with_path(lambda path, _: stops.get(path) == stop, p))


def with_path(function: Callable, tree: optax.Params) -> optax.Params:
    """`function(path, leaf)` of every leaf; the path is like "conv1/kernel"."""
    name = lambda keys: jax.tree_util.keystr(keys, simple=True, separator="/")  # noqa: E731
    return jax.tree_util.tree_map_with_path(lambda keys, leaf: function(name(keys), leaf), tree)


def decayed(params: optax.Params, vectors: bool, undecayed: Collection[str]) -> optax.Params:
    """True for what is decayed: kernels, or all, but the paths in `undecayed`."""
    return with_path(lambda path, p: (vectors or p.ndim > 1) and path not in undecayed, params)
