"""The net of the speed run: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024.

    whiten 2x2, 24 -> block1 64 -> block2 256 -> block3 256 -> max -> fc, times 1/9

    airbench94: 1,971,640 parameters, of which `whiten/kernel` (288) is not trained in the paper.

A block is conv1, a max-pool of 2, BatchNorm, GELU, conv2, BatchNorm, GELU; all convolutions are
3x3 without bias. Secs. 3.1 to 3.3 and the author's code (cifar10-airbench, airbench94.py):
BatchNorm has no scale, momentum 0.6 and epsilon 1e-12; the first channels of a convolution begin as
the identity (`identity_start`), the others and the head uniform within 1 / sqrt(fan-in); the head
has no bias. The author's running variances are unbiased, ours are linen's. Of images of another
size than 32 the last pool takes the whole map. The whitening weights come from the training images,
which a net does not see: by itself it begins like the others. Options: `width`, `norm`,
`activation`, `identity_start`, `output_scale`.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models.layers import (
    UNIFORM,
    Activation,
    Images,
    Initializer,
    Maps,
    Norm,
    Output,
    activate,
    activate_normalised,
    conv,
    global_pool,
    max_pool,
    norm,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Count, Scale
from cnn_jax.models.registry import Net

SMALLEST = 9  # pixels: a block halves the map
WIDTHS = (1, 4, 4)  # of the blocks, times `width`


def identity_start(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """`UNIFORM`, but output i of [k, k, in, out] is input i, as far as there are inputs."""
    height, width, inputs, outputs = shape
    copied = min(inputs, outputs)
    kernel = UNIFORM(key, shape, dtype).at[..., :copied].set(0)
    centre = kernel[height // 2, width // 2] + jnp.eye(inputs, outputs, dtype=dtype)
    return kernel.at[height // 2, width // 2].set(centre)


class ConvGroup(nn.Module):
    """Two 3x3, a max-pool of 2 behind the first: [B, H, W, C] -> [B, H // 2, W // 2, features]."""

    features: int
    train: bool
    norm: Norm
    activation: Activation
    kernel_init: Initializer
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        for name in ("conv1", "conv2"):
            x = conv(
                self.features,
                3,
                padding=1,
                bias=False,
                name=name,
                dtype=self.dtype,
                kernel_init=self.kernel_init,
            )(x)
            x = max_pool(x, 2, 2) if name == "conv1" else x
            layer = norm(
                self.norm,
                self.train,
                name=f"{name}_norm",
                dtype=self.dtype,
                momentum=0.6,
                epsilon=1e-12,
                scale=self.norm != "batch",
            )
            x = activate_normalised(self.activation, layer, x)
        return x


class Airbench(nn.Module):
    """Images [B, H, W, C], 32 pixels in the paper -> logits."""

    num_classes: int = 10
    width: Count = 64
    norm: Norm = "batch"
    activation: Activation = "gelu"
    identity_start: bool = True
    output_scale: Scale = 1 / 9
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, SMALLEST, "airbench94")
        x = conv(
            8 * images.shape[-1],  # each of the 4 C directions of a patch, and its opposite
            2,
            padding="VALID",
            name="whiten",
            dtype=self.dtype,
            kernel_init=UNIFORM,
        )(images)
        x = activate(self.activation, x)  # 31x31x24
        start = identity_start if self.identity_start else UNIFORM
        for level, factor in enumerate(WIDTHS):  # 15x15, 7x7, 3x3
            x = ConvGroup(
                factor * self.width,
                train,
                norm=self.norm,
                activation=self.activation,
                kernel_init=start,
                dtype=self.dtype,
                name=f"block{level + 1}",
            )(x)
        x = sow_activation(self, "global_pool", global_pool("max", x))
        fc = nn.Dense(
            self.num_classes, use_bias=False, kernel_init=UNIFORM, dtype=self.dtype, name="fc"
        )
        return Output(self.output_scale * fc(x))


NETS = {"airbench94": Net(Airbench, {}, (32, 32, 3), 10)}
