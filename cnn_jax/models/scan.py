"""Identical blocks in a row as one compiled loop, with the parameters that they have without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp


def in_a_row(
    net: nn.Module,
    block: Callable[..., nn.Module],
    names: Sequence[str],
    x: jax.Array,
    scan: bool,
) -> jax.Array:
    """`x` through the submodules `block(name=name)` of `net`, one after the other.

    With `scan` the program holds one block, whatever their number: it compiles in the time of one,
    and on the CPU runs slower. The blocks must have the same shapes, keep them, and draw no random
    numbers. They are run one by one where a caller looks into them (at `init`, and where
    `intermediates` are wanted).
    """
    looked_into = net.is_initializing() or net.is_mutable_collection("intermediates")
    if not scan or looked_into or len(names) < 2:
        for name in names:
            x = block(name=name)(x)
        return x
    alone = block(parent=None)
    trains = net.is_mutable_collection("batch_stats")
    variables = {
        kind: jax.tree.map(lambda *leaves: jnp.stack(leaves), *(tree[name] for name in names))
        for kind, tree in net.variables.items()
        if names[0] in tree
    }

    def one(x: jax.Array, variables: dict) -> tuple[jax.Array, dict]:
        y, changed = alone.apply(variables, x, mutable=["batch_stats"] if trains else [])
        return y, changed.get("batch_stats", {})

    x, changed = jax.lax.scan(one, x, variables)
    for i, name in enumerate(names if changed else ()):
        net.put_variable("batch_stats", name, jax.tree.map(lambda leaf, i=i: leaf[i], changed))
    return x
