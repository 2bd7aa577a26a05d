"""Orbax as it is asked to write here: by all processes of a run together, or by one alone."""

from __future__ import annotations

import functools
import sys
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


@functools.cache
def silence_orphans() -> None:
    """When one of Orbax's writes fails, others find their event loop closed, and say so at length.

    The failure itself is raised; these complaints of threads that nobody waits for are dropped.
    """
    show = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            show(unraisable)

    sys.unraisablehook = hook


def alone(purpose: str) -> Any:
    """Options with which this process waits for no other."""
    import orbax.checkpoint as ocp

    here = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=here, active_processes={here}, barrier_sync_key_prefix=f"{purpose}{here}"
    )


def make_writer(by_one: bool) -> Any:
    """What writes a state and its meta in the background, `by_one` process or by all."""
    import orbax.checkpoint as ocp

    silence_orphans()
    if not by_one:
        return ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
    options = alone("save")
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=options),
        state=ocp.StandardCheckpointHandler(multiprocessing_options=options),
        meta=ocp.JsonCheckpointHandler(multiprocessing_options=options),
    )
    asynchronous = ocp.AsyncOptions()
    return ocp.AsyncCheckpointer(
        handler, async_options=asynchronous, multiprocessing_options=options
    )


def on_this_host(tree: Any) -> Any:
    """The arrays of all processes as NumPy has them, whole; every process must call it."""

    def whole(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array):
            return leaf
        if leaf.is_fully_replicated:
            return np.asarray(leaf.addressable_data(0))
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))

    return jax.tree.map(whole, tree)
