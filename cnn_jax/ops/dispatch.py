"""Which form of an operation is traced."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cnn_jax.ops import cpu_kernels

_plain = contextvars.ContextVar("plain", default=False)
_space_to_depth = contextvars.ContextVar("space_to_depth", default=False)


def plain() -> contextlib.AbstractContextManager[None]:
    """What is traced within takes the plain operations on every backend."""
    return held(_plain, True)


def space_to_depth(wanted: bool) -> contextlib.AbstractContextManager[None]:
    """Whether what is traced within reads images of few channels in blocks of the stride."""
    return held(_space_to_depth, wanted)


@contextlib.contextmanager
def held(variable: contextvars.ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def fast_on_cpu() -> bool:
    """Whether to trace the form for the CPU."""
    return jax.default_backend() == "cpu" and not _plain.get()


def takes_native(*arrays: jax.Array) -> bool:
    """Whether an operation on these is to be `cnn_jax.native`'s."""
    return not _plain.get() and can_be_native(*arrays)


def can_be_native(*arrays: jax.Array) -> bool:
    """Whether `cnn_jax.native` can have these, and is there.

    A program over several devices cannot divide a call that XLA does not know.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return False
    return all(a.dtype == jnp.float32 for a in arrays) and cpu_kernels.library() is not None


def wants_space_to_depth() -> bool:
    return _space_to_depth.get() and not _plain.get()
