"""Non-linearities by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.models.layers.shapes import Activations

Activation = Literal[
    "sigmoid", "tanh", "scaled_tanh", "relu", "relu6", "gelu", "silu", "hard_swish", "none"
]


def scaled_tanh(x: Activations) -> Activations:
    """1.7159 tanh(2x/3), so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * jnp.tanh(x * (2 / 3))


ACTIVATIONS: dict[str, Callable[[Activations], Activations]] = {
    "sigmoid": nn.sigmoid,
    "tanh": jnp.tanh,
    "scaled_tanh": scaled_tanh,
    "relu": nn.relu,
    "relu6": nn.relu6,
    "gelu": functools.partial(nn.gelu, approximate=False),
    "silu": nn.silu,
    "hard_swish": nn.hard_swish,
    "none": lambda x: x,
}
RECTIFIERS = ("relu", "relu6")
# A gradient keeps more of these than what goes in: XLA computes no exponential twice.
KEEP_MORE = ("gelu", "silu")


def activate(name: Activation, x: Activations) -> Activations:
    """The named non-linearity of `x`; `gelu` is the exact one, by the error function.

    On a CPU the gradients of `KEEP_MORE` keep `x` alone, and compute them once more: a quarter of
    the memory of ConvNeXt's step goes.
    """
    if name in RECTIFIERS and ops.use_guided_rectifiers():
        return guided(name, x)
    function = ACTIVATIONS[name]
    if name in KEEP_MORE and ops.use_cpu_ops():
        function = jax.checkpoint(function)
    values = function(x)
    return values if name == "none" else ops.observe_activation(values)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def guided(name: Activation, x: Activations) -> Activations:
    """A rectifier that lets no negative gradient back (Springenberg et al. 2015)."""
    return ACTIVATIONS[name](x)


def guided_forward(name: Activation, x: Activations) -> tuple[Activations, Activations]:
    return ACTIVATIONS[name](x), x


def guided_backward(name: Activation, x: Activations, gradient: Activations) -> tuple[Activations]:
    return jax.vjp(ACTIVATIONS[name], x)[1](nn.relu(gradient))


guided.defvjp(guided_forward, guided_backward)
