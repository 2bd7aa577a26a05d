"""Local response normalisation across channels."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.ops.dispatch import use_cpu_ops, use_portable_ops


def local_response_norm(
    x: Float[Array, "*b c"], size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Float[Array, "*b c"]:
    """x / (k + alpha * sum of squares over `size` neighbouring channels) ** beta.

    The constants are AlexNet's (Krizhevsky et al. 2012, sec. 3.3): alpha multiplies the sum, not
    the mean. Caffe and torch divide alpha by `size`; pass `alpha * size`'s counterpart for theirs.
    TensorFlow's and Keras' depth radius r is `size = 2 r + 1`, their bias is k, their alpha ours.
    """
    half = size // 2
    if use_cpu_ops() or use_portable_ops():
        channels = np.arange(x.shape[-1])
        apart = channels[:, None] - channels[None, :]  # source - target
        band = ((-half <= apart) & (apart <= size - 1 - half)).astype(np.float32)
        squares = jnp.square(x).reshape(-1, x.shape[-1])
        sums = jnp.matmul(squares, band.astype(x.dtype), precision="highest").reshape(x.shape)
    else:
        sums = lax.reduce_window(
            jnp.square(x),
            np.zeros((), x.dtype),  # a traced zero would hide that this is a sum
            lax.add,
            window_dimensions=(1,) * (x.ndim - 1) + (size,),
            window_strides=(1,) * x.ndim,
            padding=[(0, 0)] * (x.ndim - 1) + [(half, size - 1 - half)],
        )
    base = k + alpha * sums
    if beta == 0.75:  # two square roots cost a tenth of a power
        root = lax.rsqrt(base)
        return x * (root * jnp.sqrt(root))
    return x / base**beta
