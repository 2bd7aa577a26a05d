"""Convolutions, alone and as the unit of nearly every net: convolution, norm, non-linearity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models.layers.activations import Activation, activate
from cnn_jax.models.layers.norms import CENTRING_NORMS, Norm, norm

Padding = str | int | Sequence[tuple[int, int]]
Initializer = nn.initializers.Initializer

# He et al. 2015, "Delving deep into rectifiers": N(0, 2 / fan-in), not truncated.
HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def pad_pairs(padding: Padding) -> str | Sequence[tuple[int, int]]:
    """One integer means that many zeros on every side, as papers write it."""
    return [(padding, padding)] * 2 if isinstance(padding, int) else padding


def conv(
    features: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    *,
    padding: Padding = "SAME",
    groups: int = 1,
    bias: bool = True,
    name: str | None = None,
    dtype: Any = None,
    kernel_init: Callable = HE_NORMAL,
    bias_init: Callable = nn.initializers.zeros,
) -> nn.Conv:
    """A 2-D convolution on [B, H, W, C]; `padding` is "SAME", "VALID", an integer or pairs."""
    return nn.Conv(
        features,
        (kernel, kernel) if isinstance(kernel, int) else kernel,
        strides=(stride, stride) if isinstance(stride, int) else stride,
        padding=pad_pairs(padding),
        feature_group_count=groups,
        conv_general_dilated=ops.convolution,
        use_bias=bias,
        name=name,
        dtype=dtype,
        kernel_init=kernel_init,
        bias_init=bias_init,
    )


def conv_norm(
    x: jax.Array,
    features: int,
    kernel: int | tuple[int, int],
    stride: int = 1,
    *,
    name: str,
    train: bool,
    kind: Norm = "batch",
    activation: Activation = "none",
    padding: Padding | None = None,
    groups: int = 1,
    bias: bool | None = None,
    zero: bool = False,
    momentum: float = 0.9,
    epsilon: float = 1e-5,
    dtype: Any = None,
    kernel_init: Callable = HE_NORMAL,
    bias_init: Callable = nn.initializers.zeros,
) -> jax.Array:
    """activation(norm(conv(x))), padded by (kernel - 1) / 2 zeros on every side by default.

    Makes the submodules `name` and `name_norm` of the module that calls it. The convolution has a
    bias where `kind` does not subtract each channel's mean, unless `bias` says otherwise. `zero`
    lets the unit's output start at zero: by the norm's scale, or by the kernel without a norm.
    """
    zeros = nn.initializers.zeros
    if padding is None:
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = [((side - 1) // 2,) * 2 for side in sides]
    x = conv(
        features,
        kernel,
        stride,
        padding=padding,
        groups=groups,
        bias=kind not in CENTRING_NORMS if bias is None else bias,
        name=name,
        dtype=dtype,
        kernel_init=zeros if zero and kind == "none" else kernel_init,
        bias_init=bias_init,
    )(x)
    x = norm(
        kind,
        train,
        name=f"{name}_norm",
        dtype=dtype,
        momentum=momentum,
        epsilon=epsilon,
        scale_init=zeros if zero else nn.initializers.ones,
    )(x)
    return activate(activation, x)
