"""Operations that this machine's own C++ compiler makes, where it has one: `jax.ffi` calls.

`README.md` beside this file says what they are worth and when they go. All are float32, and there
only where `library()` is not None; shapes that do not fit raise `jax.errors.JaxRuntimeError` when
the call runs. `corner` is the padding above and on the left, `out` the shape of the result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float32, Int8

from cnn_jax.ops.cpu_kernels.compile import enabled, lanes, library

__all__ = [
    "AFTER_NORM",
    "batch_norm",
    "batch_norm_gradient",
    "enabled",
    "forward",
    "input_gradient",
    "join",
    "kernel_gradient",
    "lanes",
    "library",
    "materialize",
    "max_pool",
    "max_pool_gradient",
    "split",
]

# The activations that a norm can have behind it, by their numbers in `ffi_targets.cc`.
AFTER_NORM = ("none", "relu", "relu6", "silu", "hard_swish", "gelu")

HW = tuple[int, int]
Shape = tuple[int, ...]
# Whether the axes of one fit those of others is checked by the kernels.
Four = Float32[Array, "_ _ _ _"]
Rows = Float32[Array, "... _"]
Channels = Float32[Array, " _"]
GivenChannels = Channels | Float32[np.ndarray, " _"]  # JAX hands over constants as NumPy's


def forward(x: Four, kernel: Four, out: Shape, stride: HW, corner: HW) -> Four:
    """The convolution of maps x [N, H, W, C] with a kernel [h, w, C / groups, F]."""
    shape = jax.ShapeDtypeStruct(out, x.dtype)
    return call("cnn_jax_forward", shape, stride, corner)(x, kernel)


def input_gradient(gradient: Four, kernel: Four, out: Shape, stride: HW, corner: HW) -> Four:
    """Its gradient by the maps from `gradient` [N, H', W', F]."""
    shape = jax.ShapeDtypeStruct(out, gradient.dtype)
    return call("cnn_jax_input_gradient", shape, stride, corner)(gradient, kernel)


def kernel_gradient(x: Four, gradient: Four, out: Shape, stride: HW, corner: HW) -> Four:
    """Its gradient by the kernel from the maps and `gradient` [N, H', W', F]."""
    shape = jax.ShapeDtypeStruct(out, x.dtype)
    return call("cnn_jax_kernel_gradient", shape, stride, corner)(x, gradient)


def max_pool(
    x: Four, window: HW, out: Shape, stride: HW, corner: HW
) -> tuple[Four, Int8[Array, "_ _ _ _"]]:
    """The maximum over windows, and its place in the window, counted row by row."""
    shapes = (jax.ShapeDtypeStruct(out, x.dtype), jax.ShapeDtypeStruct(out, np.int8))
    best, place = call("cnn_jax_max_pool", shapes, stride, corner, window)(x)
    return best, place


def max_pool_gradient(
    place: Int8[Array, "_ _ _ _"], gradient: Four, window: HW, out: Shape, stride: HW, corner: HW
) -> Four:
    """Its gradient by the maps."""
    shape = jax.ShapeDtypeStruct(out, gradient.dtype)
    return call("cnn_jax_max_pool_gradient", shape, stride, corner, window)(place, gradient)


def batch_norm(
    x: Rows, scale: GivenChannels, bias: GivenChannels, epsilon: float, activation: str
) -> tuple[Rows, Channels, Channels]:
    """(BatchNorm of `x` in training with one of `AFTER_NORM` behind it, mean, variance)."""
    vector = jax.ShapeDtypeStruct(scale.shape, x.dtype)
    shapes = (jax.ShapeDtypeStruct(x.shape, x.dtype), vector, vector)
    norm = jax.ffi.ffi_call("cnn_jax_batch_norm", shapes, vmap_method="sequential")
    y, mean, var = norm(x, scale, bias, **norm_attributes(epsilon, activation))
    return y, mean, var


def batch_norm_gradient(
    x: Rows,
    gradient: Rows,
    scale: GivenChannels,
    bias: GivenChannels,
    mean: Channels,
    var: Channels,
    epsilon: float,
    activation: str,
) -> tuple[Rows, Channels, Channels]:
    """Its gradients by x, scale and bias."""
    vector = jax.ShapeDtypeStruct(scale.shape, x.dtype)
    shapes = (jax.ShapeDtypeStruct(x.shape, x.dtype), vector, vector)
    gradients = jax.ffi.ffi_call("cnn_jax_batch_norm_gradient", shapes, vmap_method="sequential")
    attributes = norm_attributes(epsilon, activation)
    by_x, by_scale, by_bias = gradients(x, gradient, scale, bias, mean, var, **attributes)
    return by_x, by_scale, by_bias


def norm_attributes(epsilon: float, activation: str) -> dict[str, np.generic]:
    number = np.int64(AFTER_NORM.index(activation))
    return {"epsilon": np.float32(epsilon), "activation": number}


def materialize(x: Float32[Array, "*n"]) -> Float32[Array, "*n"]:
    """`x`, in the memory where it is; no fusion goes through it."""
    shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
    in_place = {"vmap_method": "sequential", "input_output_aliases": {0: 0}}
    return jax.ffi.ffi_call("cnn_jax_materialize", shape, **in_place)(x)


def join(arrays: Sequence[Float32[Array, " ..."]]) -> Float32[Array, " n"]:
    """The numbers of all arrays, one array behind the other."""
    shape = jax.ShapeDtypeStruct((sum(a.size for a in arrays),), np.float32)
    return jax.ffi.ffi_call("cnn_jax_join", shape, vmap_method="sequential")(*arrays)


def split(x: Float32[Array, " n"], shapes: Sequence[Shape], serial: int = 0) -> list[jax.Array]:
    """Arrays of these shapes, of the numbers of `x` one behind the other.

    Two calls of one array with different `serial` stay two: XLA would else make them one, and copy
    its results, in a program for each. (A declared side effect would keep them apart too, and with
    them every dispatch of the program out of JAX's fast path: milliseconds a step.)
    """
    out = [jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes]
    cut = jax.ffi.ffi_call("cnn_jax_split", out, vmap_method="sequential")
    return list(cut(x, serial=np.int64(serial)))


def call(
    target: str, out: Any, stride: HW, corner: HW, window: HW | None = None
) -> Callable[..., Any]:
    """What calls the compiled operation, with its numbers."""
    numbers = {"stride_y": stride[0], "stride_x": stride[1], "top": corner[0], "left": corner[1]}
    if window:
        numbers |= {"window_y": window[0], "window_x": window[1]}
    attributes = {key: np.int64(value) for key, value in numbers.items()}
    return functools.partial(jax.ffi.ffi_call(target, out, vmap_method="sequential"), **attributes)
