"""Identical blocks in a row as one compiled loop, with the parameters that they have without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models.layers.shapes import Activations
from cnn_jax.ops import flat_params


def scan_blocks(
    net: nn.Module,
    block: Callable[..., nn.Module],
    names: Sequence[str],
    x: Activations,
    scan: bool,
) -> Activations:
    """`x` through the submodules `block(name=name)` of `net`, one after the other.

    With `scan` the program holds one block, whatever their number, and compiles the sooner; on the
    CPU it runs some tenths slower. The blocks must have the same shapes, keep them, and draw no
    random numbers. At `init` their variables are drawn together: other numbers than of blocks one
    by one, of the same distribution. They are run one by one where `intermediates` are wanted.
    """
    looked_into = net.is_mutable_collection("intermediates")
    if not scan or looked_into or len(names) < 2:
        for name in names:
            x = block(name=name)(x)
        return x
    alone = block(parent=None)
    if net.is_initializing():
        keys = jax.random.split(net.make_rng("params"), len(names))
        put(net, names, jax.lax.map(lambda key: alone.init(key, x), keys))
        return x  # whose values nobody asks for here
    trains = net.is_mutable_collection("batch_stats")
    variables = {
        kind: jax.tree.map(
            lambda *leaves: flat_params.stack([jnp.asarray(leaf) for leaf in leaves]),
            *(tree[name] for name in names),
        )
        for kind, tree in net.variables.items()
        if names[0] in tree
    }

    def step(x: Activations, variables: dict) -> tuple[Activations, dict]:
        outputs: Any = alone.apply(variables, x, mutable=["batch_stats"] if trains else [])
        y, changed = outputs
        return y, changed.get("batch_stats", {})

    x, changed = jax.lax.scan(step, x, variables)
    put(net, names, {"batch_stats": changed} if changed else {})
    return x


def put(net: nn.Module, names: Sequence[str], stacked: Mapping[str, Any]) -> None:
    """Each block's share of what is stacked, by kind of variable, becomes its own in the net."""
    for kind, tree in stacked.items():
        leaves, structure = jax.tree.flatten(tree)
        shares = [flat_params.unstack(leaf) for leaf in leaves]
        for i, name in enumerate(names):
            own = jax.tree.unflatten(structure, [share[i] for share in shares])
            net.put_variable(kind, name, own)
