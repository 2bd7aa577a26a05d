"""Which implementation of an operation is traced."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import cpu_kernels
from cnn_jax.runtime import target

_reference = contextvars.ContextVar("reference_ops", default=False)
_shapes_alone = contextvars.ContextVar("shapes_alone", default=False)
_space_to_depth = contextvars.ContextVar("space_to_depth", default=False)
_observer: contextvars.ContextVar[Callable[[jax.Array], None] | None] = contextvars.ContextVar(
    "activation_observer", default=None
)
_portable = contextvars.ContextVar("portable_ops", default=False)
_guided = contextvars.ContextVar("guided_rectifiers", default=False)
_joint = contextvars.ContextVar("joint_norms", default=False)


def reference_ops() -> contextlib.AbstractContextManager[None]:
    """What is traced within takes the reference operations on every backend."""
    return setting(_reference, True)


@contextlib.contextmanager
def shapes_alone() -> Iterator[None]:
    """Of what is traced within, the shapes and types alone are right: norms of a batch, whose
    formulas take a third of a trace, give what comes in."""
    with reference_ops(), setting(_shapes_alone, True):
        yield


def portable_ops() -> contextlib.AbstractContextManager[None]:
    """What is traced within has the forms that converters to other formats know: pools of maps that
    were padded before, no sums over windows of channels."""
    return setting(_portable, True)


def space_to_depth(enabled: bool) -> contextlib.AbstractContextManager[None]:
    """Whether what is traced within reads images of few channels in blocks of the stride."""
    return setting(_space_to_depth, enabled)


def joint_norms(enabled: bool) -> contextlib.AbstractContextManager[None]:
    """Whether what is traced within may take a widening 1x1 convolution and its norm as one."""
    return setting(_joint, enabled)


def guided_rectifiers() -> contextlib.AbstractContextManager[None]:
    """What is traced within has rectifiers that let no negative gradient back."""
    return setting(_guided, True)


def observed_activations(
    observer: Callable[[jax.Array], None],
) -> contextlib.AbstractContextManager[None]:
    """What is traced within shows the observer what each non-linearity puts out."""
    return setting(_observer, observer)


def observe_activation(values: jax.Array) -> jax.Array:
    """The same values, shown to the observer where there is one."""
    if observer := _observer.get():
        observer(values)
    return values


@contextlib.contextmanager
def setting(variable: contextvars.ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def use_shapes_alone() -> bool:
    """Whether an operation may stand for another of the same shapes and types."""
    return _shapes_alone.get()


def use_cpu_ops() -> bool:
    """Whether to trace the implementation for the CPU."""
    return target.platform() == "cpu" and not _reference.get()


def use_gpu_ops() -> bool:
    """Whether to trace the implementation for a GPU."""
    return target.platform() == "gpu" and not _reference.get()


def use_cpu_kernels(*arrays: jax.Array | np.ndarray, kernel: str = "") -> bool:
    """Whether an operation on these is to be that of `cpu_kernels`; see `cpu_kernels_apply`."""
    return not _reference.get() and cpu_kernels_apply(*arrays, kernel=kernel)


def cpu_kernels_apply(*arrays: jax.Array | np.ndarray, kernel: str = "") -> bool:
    """Whether `cpu_kernels` can have these, is there, and that `kernel` (any, for "") enabled.

    A program over several devices cannot divide a call that XLA does not know.
    """
    if target.platform() != "cpu" or target.device_count() > 1:
        return False
    if any(a.dtype != jnp.float32 for a in arrays) or cpu_kernels.library() is None:
        return False
    return not kernel or kernel in cpu_kernels.enabled()


def use_space_to_depth() -> bool:
    return _space_to_depth.get() and not _reference.get()


def use_joint_norm(x: jax.Array, features: int, dtype: Any) -> bool:
    """Whether the 1x1 convolution of `x` to `features` is to be one with its norm.

    On a TPU, for numbers of 16 bits: there a step waits for memory, and a product of half as many
    channels costs less than the map that it saves.
    """
    fits = 2 * x.shape[-1] <= features and dtype == jnp.bfloat16
    return fits and _joint.get() and target.platform() == "tpu" and not _reference.get()


def use_portable_ops() -> bool:
    return _portable.get()


def use_guided_rectifiers() -> bool:
    return _guided.get()
