"""What programs are compiled for: this process's devices, or others that are not there."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_target: contextvars.ContextVar[tuple[str, int] | None] = contextvars.ContextVar(
    "target", default=None
)


@contextlib.contextmanager
def compiled_for(platform: str, devices: int) -> Iterator[None]:
    """What is traced within is for so many devices of a platform, "cpu", "gpu" or "tpu"."""
    token = _target.set((platform, devices))
    try:
        yield
    finally:
        _target.reset(token)


def platform() -> str:
    """ "cpu", "gpu" or "tpu"."""
    target = _target.get()
    return jax.default_backend() if target is None else target[0]


def device_count() -> int:
    """Of all processes."""
    target = _target.get()
    return jax.device_count() if target is None else target[1]
