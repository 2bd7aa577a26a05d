"""Which form of an operation is traced."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_plain = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain() -> Iterator[None]:
    """What is traced within takes the plain operations on every backend."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fast_on_cpu() -> bool:
    """Whether to trace the form for the CPU."""
    return jax.default_backend() == "cpu" and not _plain.get()
