"""Convolutions, alone and as the unit of nearly every net: convolution, norm, non-linearity."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.models.layers.activations import Activation, activate
from cnn_jax.models.layers.norms import CENTRING_NORMS, Norm, activate_normalised, norm
from cnn_jax.models.layers.shapes import Maps

Padding = str | int | Sequence[tuple[int, int]]
Kernel = int | tuple[int, int]  # one side of a square, or (height, width)
Initializer = Callable[..., Any]

ZEROS = nn.initializers.zeros
# He et al. 2015, "Delving deep into rectifiers": N(0, 2 / fan-in), not truncated.
HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
# Within 1 / sqrt(fan-in), as PyTorch begins convolutions and dense layers.
UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def pad_pairs(padding: Padding) -> str | list[tuple[int, int]]:
    """One integer means that many zeros on every side, as papers write it."""
    if isinstance(padding, str):
        return padding
    return [(padding, padding)] * 2 if isinstance(padding, int) else list(padding)


def conv(
    features: int,
    kernel: Kernel,
    stride: int | tuple[int, int] = 1,
    *,
    padding: Padding = "SAME",
    groups: int = 1,
    bias: bool = True,
    name: str | None = None,
    dtype: Any = None,
    kernel_init: Initializer = HE_NORMAL,
    bias_init: Initializer = ZEROS,
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


class PointwiseKernel(nn.Module):
    """The kernel of a 1x1 convolution without bias that is computed elsewhere."""

    features: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: Maps) -> jax.Array:
        return self.param("kernel", self.kernel_init, (1, 1, x.shape[-1], self.features))


@dataclasses.dataclass(frozen=True)
class ConvUnit:
    """activation(norm(conv(x))); a net makes one with what its layers share, and calls it often.

        unit = ConvUnit(train, norm=self.norm, activation="relu", dtype=self.dtype)
        x = unit(x, 64, 7, stride=2, name="conv1")

    The convolution has a bias where the norm does not subtract each channel's mean, unless `bias`
    says otherwise. `momentum`, `epsilon` and `scale`, whether it has one, are the norm's.
    """

    train: bool
    norm: Norm = "batch"
    activation: Activation = "none"
    bias: bool | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale: bool = True
    kernel_init: Initializer = HE_NORMAL
    bias_init: Initializer = ZEROS
    dtype: Any = None

    def replace(self, **changes: Any) -> ConvUnit:
        """The same unit but for some of its fields."""
        return dataclasses.replace(self, **changes)

    def __call__(
        self,
        x: Maps,
        features: int,
        kernel: Kernel,
        stride: int = 1,
        *,
        name: str,
        padding: Padding | None = None,
        groups: int = 1,
        zero_init: bool = False,
    ) -> Maps:
        """Makes the submodules `name` and `name_norm` of the module that calls it.

        By default (kernel - 1) / 2 zeros are added on every side. With `zero_init` the output
        starts at zero: by the norm's scale, or by the kernel where there is no norm.
        """
        if padding is None:
            sides = (kernel, kernel) if isinstance(kernel, int) else kernel
            padding = [((side - 1) // 2, (side - 1) // 2) for side in sides]
        bias = self.norm not in CENTRING_NORMS if self.bias is None else self.bias
        normalise = functools.partial(
            norm,
            self.norm,
            self.train,
            name=f"{name}_norm",
            dtype=self.dtype,
            momentum=self.momentum,
            epsilon=self.epsilon,
            scale_init=ZEROS if zero_init else nn.initializers.ones,
            scale=self.scale,
        )
        plain = (kernel, stride, groups, bias, self.norm) == (1, 1, 1, False, "batch")
        if self.train and plain and ops.use_joint_norm(x, features, self.dtype):
            weights = PointwiseKernel(features, self.kernel_init, name=name)(x)
            joint: Any = normalise()  # a BatchNorm, which takes the kernel too
            return activate(self.activation, joint(x, weights))
        x = conv(
            features,
            kernel,
            stride,
            padding=padding,
            groups=groups,
            bias=bias,
            name=name,
            dtype=self.dtype,
            kernel_init=ZEROS if zero_init and self.norm == "none" else self.kernel_init,
            bias_init=self.bias_init,
        )(x)
        return activate_normalised(self.activation, normalise(), x)
