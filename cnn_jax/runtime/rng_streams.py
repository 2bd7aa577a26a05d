"""Randomness is named: each purpose of a run has a stream of its own."""

from __future__ import annotations

import jax


def rng_stream(seed: int | jax.Array, name: str) -> jax.Array:
    """The random stream `name` of a run; streams of different names are independent."""
    number = int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "big") % 2**31
    return jax.random.fold_in(jax.random.key(seed), number)
