"""BatchNorm as a module: the batch's statistics in training, their running means otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax import ops
from cnn_jax.models.layers.shapes import Activations


class BatchNorm(nn.Module):
    """Ioffe & Szegedy 2015, with the names and the values of linen's own, on [..., C].

    In training the running statistics move by `1 - momentum` towards those of the batch, whose
    variance is the biased one, as everywhere in linen and unlike in torch.
    """

    use_running_average: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    dtype: Any = None
    scale_init: Callable = nn.initializers.ones
    use_scale: bool = True

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*b i"],
        kernel: Float[Array, "1 1 i c"] | None = None,
        activation: str = "none",
    ) -> Float[Array, "*b o"]:
        """Of `x`, or of its 1x1 convolution with `kernel`, in training alone; with one of
        `ops.AFTER_NORM` behind it."""
        channels = (x if kernel is None else kernel).shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        running_var = self.variable("batch_stats", "var", jnp.ones, channels)
        scale = jnp.ones(channels)
        if self.use_scale:
            scale = self.param("scale", self.scale_init, channels)
        bias = self.param("bias", nn.initializers.zeros, channels)
        dtype = self.dtype or jnp.result_type(x, scale)
        if self.use_running_average:
            shrink = scale * jax.lax.rsqrt(running_var.value + self.epsilon)
            y = x - jax.lax.broadcast_to_rank(running_mean.value, x.ndim)
            y = y * jax.lax.broadcast_to_rank(shrink, x.ndim)
            y = (y + jax.lax.broadcast_to_rank(bias, x.ndim)).astype(dtype)
            return ops.AFTER_NORM[activation](y)
        if kernel is None:
            y, mean, var = ops.batch_norm(x, scale, bias, self.epsilon, dtype, activation)
        else:
            joint: Any = ops.pointwise_norm(x, kernel, scale, bias, self.epsilon, dtype)
            y, mean, var = joint
            y = ops.AFTER_NORM[activation](y)
        if not self.is_initializing():
            running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
            running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        return y


class NoisyBatchNorm(nn.Module):
    """BatchNorm whose outputs are shifted and scaled in training, by other numbers each step.

    Santurkar et al. 2018, sec. 2.2: more internal covariate shift than without any norm. The shift
    of a channel is of N(0, `noise`), its scale of N(1, `noise`); there is none without `train`.
    """

    train: bool
    momentum: float = 0.9
    epsilon: float = 1e-5
    noise: float = 0.5
    dtype: Any = None
    scale_init: Callable = nn.initializers.ones

    @nn.compact
    def __call__(self, x: Activations) -> Activations:
        x = BatchNorm(
            use_running_average=not self.train,
            momentum=self.momentum,
            epsilon=self.epsilon,
            dtype=self.dtype,
            scale_init=self.scale_init,
        )(x)
        if not self.train:
            return x
        draws = self.noise * jax.random.normal(self.make_rng("dropout"), (2, x.shape[-1]), x.dtype)
        shift, scale = (jax.lax.broadcast_to_rank(draw, x.ndim) for draw in draws)
        return x * (1 + scale) + shift
