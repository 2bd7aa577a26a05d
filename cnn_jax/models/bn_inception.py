"""BN-Inception: Ioffe, Szegedy, "Batch normalization: accelerating deep network training by
reducing internal covariate shift", ICML 2015, appendix (fig. 5).

    input 224 -> conv1 64@112 -> pool 56 -> conv2 192@56 -> pool 28 -> 3a 256 -> 3b 320 -> 3c 576@14
    -> 4a 576 -> 4b 576 -> 4c 608 -> 4d 608 -> 4e 1056@7 -> 5a 1024 -> 5b 1024 -> mean -> 1000

`bn_inception`: 11,285,224 parameters. Against GoogLeNet, two 3x3 stand for the 5x5, 3c and 4e halve
the map by strides, the pools of all blocks but 3c, 4e and 5b are means, and BatchNorm follows every
convolution, which makes its bias and LRN superfluous (sec. 3.2 and 4.2.1). `bias=True` gives the
biases back, as the Caffe port has them: 11,295,240.

Constants: no dropout, no LRN (sec. 4.2.1). The paper gives neither BatchNorm's momentum and epsilon
nor an initialisation: they are 0.9 and 1e-5, and He's.

Deviations from fig. 5, both as in the Caffe port, whose count is the known one:
- Deviation: the pool projections of 4c and 4d have 128 channels (`pool_projection=128`); the figure
  prints 96, with outputs of 576 for 4c and 4d and 1,024 for 4e: `pool_projection=96`.
- Deviation: conv1 is a plain 7x7 (`stem="plain"`). The paper's text has a separable convolution of
  depth multiplier 8 there: `stem="separable"`.

Options off by default: `norm="none"` (biases come back: the paper's Inception without BatchNorm),
`lrn` (after pool1 and before pool2, with AlexNet's constants), `dropout`, `activation="sigmoid"`
(its BN-x5-Sigmoid), `head="max"`. At odd map sizes the pools of 3c and 4e add the row and column
that keep their maps as large as the convolutions'.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    avg_pool,
    conv,
    global_pool,
    local_response_norm,
    max_pool,
    require_size,
    sow_activation,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net

# 1x1 | 3x3 reduce, 3x3 | double 3x3 reduce, double 3x3 | pool, its projection; 3c and 4e halve.
TABLE = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", None),
    "4d": (96, 128, 192, 160, 192, "avg", None),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


class Inception(nn.Module):
    """A row of fig. 5. Without a 1x1 and a projection it halves the map and passes x through."""

    widths: tuple[Any, ...]
    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        narrow, reduce3, wide3, reduce_double, double, pooling, projection = self.widths
        unit, stride = self.unit, 1 if projection else 2
        three = unit(x, reduce3, 1, name="3x3_reduce")
        three = unit(three, wide3, 3, stride, name="3x3")
        twice = unit(x, reduce_double, 1, name="double_3x3_reduce")
        twice = unit(twice, double, 3, name="double_3x3_1")
        twice = unit(twice, double, 3, stride, name="double_3x3_2")
        if not projection:
            pads = [(0, 1 + side % 2) for side in x.shape[1:3]]
            passed = max_pool(x, 3, 2, padding=pads)
            return jnp.concatenate([three, twice, passed], -1)
        one = unit(x, narrow, 1, name="1x1")
        pooled = (avg_pool if pooling == "avg" else max_pool)(x, 3, 1, padding=1)
        pooled = unit(pooled, projection, 1, name="pool_proj")
        return jnp.concatenate([one, three, twice, pooled], -1)


class BNInception(nn.Module):
    """Fig. 5; images [B, 224, 224, 3], 7 pixels at least."""

    num_classes: int = 1000
    bias: bool = False
    norm: Norm = "batch"
    lrn: bool = False
    activation: Activation = "relu"
    stem: Literal["plain", "separable"] = "plain"
    pool_projection: Literal[128, 96] = 128
    dropout: Rate = 0.0
    head: Pooling = "avg"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 7, "bn_inception")
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            bias=True if self.bias else None,
            dtype=self.dtype,
        )

        def inception(x: Maps, name: str) -> Maps:
            widths = tuple(self.pool_projection if w is None else w for w in TABLE[name])
            return Inception(widths=widths, unit=unit, name=f"inception_{name}")(x)

        def pool(x: Maps, number: int) -> Maps:
            return sow_activation(self, f"pool{number}", max_pool(x, 3, 2, ceil=True))

        def lrn(x: Maps) -> Maps:
            return local_response_norm(x) if self.lrn else x

        x = images
        if self.stem == "separable":  # 7x7 for each channel apart, then 1x1 over all
            channels = x.shape[-1]
            depthwise = conv(
                8 * channels,
                7,
                2,
                padding=3,
                groups=channels,
                bias=False,
                name="conv1_depthwise",
                dtype=self.dtype,
            )
            x = unit(depthwise(x), 64, 1, name="conv1")
        else:
            x = unit(x, 64, 7, stride=2, name="conv1")  # 112x112x64
        x = lrn(pool(x, 1))  # 56x56x64
        x = unit(x, 64, 1, name="conv2_reduce")  # 56x56x64
        x = unit(x, 192, 3, name="conv2")  # 56x56x192
        x = pool(lrn(x), 2)  # 28x28x192
        x = inception(x, "3a")  # 28x28x256
        x = inception(x, "3b")  # 28x28x320
        x = inception(x, "3c")  # 14x14x576
        x = inception(x, "4a")  # 14x14x576
        x = inception(x, "4b")  # 14x14x576
        x = inception(x, "4c")  # 14x14x608
        x = inception(x, "4d")  # 14x14x608
        x = inception(x, "4e")  # 7x7x1056
        x = inception(x, "5a")  # 7x7x1024
        x = inception(x, "5b")  # 7x7x1024
        x = sow_activation(self, "global_pool", global_pool(self.head, x))  # 1024
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Output(nn.Dense(self.num_classes, name="linear", dtype=self.dtype)(x))


NETS = {"bn_inception": Net(BNInception)}
