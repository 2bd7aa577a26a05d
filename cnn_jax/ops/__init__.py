"""Operations that differ by backend: the plain form, and one that is fast on the CPU.

The nets call these and never ask where they run: the form is chosen when a step is traced, by
`jax.default_backend()`. Both forms have the same values and gradients to rounding, ties included.
"""

from cnn_jax.ops.convolutions import convolution
from cnn_jax.ops.form import plain
from cnn_jax.ops.pooling import max_pool
from cnn_jax.ops.response_norm import local_response_norm

__all__ = ["convolution", "local_response_norm", "max_pool", "plain"]
