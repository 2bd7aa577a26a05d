"""Operations in the form that is fast: where that differs by backend, the plain one and the CPU's.

The nets call these and never ask where they run: the form is chosen when a step is traced, by
`jax.default_backend()`. All forms have the same values and gradients to rounding, ties included.
"""

from cnn_jax.ops.batch_norm import batch_norm
from cnn_jax.ops.convolutions import convolution
from cnn_jax.ops.dispatch import plain, space_to_depth
from cnn_jax.ops.lrn import local_response_norm
from cnn_jax.ops.materialize import computed_once
from cnn_jax.ops.pooling import max_pool

__all__ = [
    "batch_norm",
    "computed_once",
    "convolution",
    "local_response_norm",
    "max_pool",
    "plain",
    "space_to_depth",
]
