"""Which form of an operation is traced."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cnn_jax.ops import cpu_kernels

_reference = contextvars.ContextVar("reference_ops", default=False)
_space_to_depth = contextvars.ContextVar("space_to_depth", default=False)


def reference_ops() -> contextlib.AbstractContextManager[None]:
    """What is traced within takes the reference operations on every backend."""
    return setting(_reference, True)


def space_to_depth(enabled: bool) -> contextlib.AbstractContextManager[None]:
    """Whether what is traced within reads images of few channels in blocks of the stride."""
    return setting(_space_to_depth, enabled)


@contextlib.contextmanager
def setting(variable: contextvars.ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def use_cpu_ops() -> bool:
    """Whether to trace the form for the CPU."""
    return jax.default_backend() == "cpu" and not _reference.get()


def use_cpu_kernels(*arrays: jax.Array) -> bool:
    """Whether an operation on these is to be `cnn_jax.ops.cpu_kernels`'s."""
    return not _reference.get() and cpu_kernels_apply(*arrays)


def cpu_kernels_apply(*arrays: jax.Array) -> bool:
    """Whether `cnn_jax.ops.cpu_kernels` can have these, and is there.

    A program over several devices cannot divide a call that XLA does not know.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return False
    return all(a.dtype == jnp.float32 for a in arrays) and cpu_kernels.library() is not None


def use_space_to_depth() -> bool:
    return _space_to_depth.get() and not _reference.get()
