"""Arrays of NumPy that become those of devices, and are gone from the host."""

from __future__ import annotations

import math
import time
import weakref
from typing import Any

import jax
import numpy as np

LARGE = 2**17  # numbers
TRIES = 50  # of a millisecond, for JAX to let go of what it has copied


def moved(values: Any, places: Any = None) -> Any:
    """NumPy's arrays, that nobody else holds, on devices, by default the first one: the large ones
    are gone from the host.
    """
    leaves, structure = jax.tree.flatten(values)
    del values
    leaves = [unshared(leaf) for leaf in leaves]
    held = [weakref.ref(owner(leaf)) for leaf in leaves if is_large(leaf)]
    on = None if places is None else jax.tree.leaves(places)
    copies = jax.device_put(leaves, on, may_alias=False)
    del leaves
    jax.block_until_ready(copies)
    for _ in range(TRIES):
        jax.device_put(np.int32(0))  # at a call JAX lets go of what it has copied before
        if all(leaf() is None for leaf in held):
            break
        time.sleep(0.001)
    return jax.tree.unflatten(structure, copies)


def owner(leaf: np.ndarray) -> np.ndarray:
    """The array whose memory it is a view of."""
    return leaf.base if isinstance(leaf.base, np.ndarray) else leaf


def is_large(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.size >= LARGE


def unshared(leaf: Any) -> Any:
    """The large array where no device's array will share its memory, which no step could take.

    On a CPU JAX shares what begins at a multiple of 64 bytes, whatever `may_alias` says.
    """
    if not is_large(leaf) or leaf.ctypes.data % 64:
        return leaf
    copy = apart(leaf.shape, leaf.dtype)
    copy[...] = leaf
    return copy


def apart(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An empty array that begins at no multiple of 64 bytes: one number behind where NumPy's do."""
    return np.empty(math.prod(shape) + 1, dtype)[1:].reshape(shape)
