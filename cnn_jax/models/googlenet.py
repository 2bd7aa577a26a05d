"""GoogLeNet: Szegedy et al., "Going deeper with convolutions", CVPR 2015, table 1 and fig. 3.

    input 224 -> conv1 64@112 -> pool 56 -> conv2 192@56 -> pool 28 -> 3a 256 -> 3b 480 -> pool 14
    -> 4a 512 -> 4b 512 -> 4c 512 -> 4d 528 -> 4e 832 -> pool 7 -> 5a 832 -> 5b 1024 -> mean -> 1000

- `googlenet`: 13,378,280 parameters with the auxiliary heads after 4a and 4d, 6,998,552 without
  (`auxiliary=False`). 5x5 convolutions, biases, LRN, no BatchNorm.
- `googlenet_torchvision`: 13,004,888 and 6,624,904. torchvision's net: BatchNorm (momentum 0.9,
  epsilon 1e-3) for the biases, no LRN, 3x3 for every 5x5, a 2x2 pool before 5a, adaptive pooling to
  4x4 in the heads, dropout 0.2. It expects inputs of its own normalisation where its published
  weights are used: mean 0.5 and deviation 0.5 in each channel.

Constants: 3x3 max-pools every 2, in ceil mode, so that they halve the map (fig. 3, sizes of
table 1). Dropout 0.4 before the classifier (table 1), 0.7 in the heads, each of which is a 5x5 mean
every 3, a 1x1 convolution to 128, 1,024 units and a classifier (sec. 5); training adds 0.3 of each
head's loss. The heads' logits come in the order of depth. The paper gives no LRN constants: they
are AlexNet's, whose layer it is. Nor does it give an initialisation: it is that of the Caffe
replication (bvlc_googlenet), uniform of variance 1/fan_in, biases 0.2, and 0 in the classifiers.

Options off by default, none of them the paper's net:
- `auxiliary`, `lrn`, `dropout`, `auxiliary_dropout`, `activation`, `pooling` (between stages).
- `norm`: after every convolution, whose bias goes where the norm would cancel it.
- `wide_kernel=3`: 3x3 in the 5x5 branch.
- `head="max"`: a global maximum. `head="dense"`: 1,024 units on the flat last map, for the fully
  connected classifiers that sec. 5 compares the mean with.
- Deviation: where a head's map is under 5x5 (inputs under 65 px), its pool takes the whole map.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from cnn_jax.models.layers import (
    Activation,
    ConvUnit,
    Images,
    Logits,
    Maps,
    Norm,
    Output,
    Pooling,
    activate,
    adaptive_avg_pool,
    avg_pool,
    compute_auxiliary,
    global_pool,
    local_response_norm,
    max_pool,
    require_size,
    sow_activation,
    window_pool,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net

# 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection
TABLE = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
XAVIER = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


class Inception(nn.Module):
    """Fig. 2b: four branches on one map, their outputs side by side in the channels."""

    widths: tuple[int, ...]
    wide_kernel: int
    unit: ConvUnit

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        narrow, reduce3, wide3, reduce5, wide5, projection = self.widths
        unit = self.unit
        one = unit(x, narrow, 1, name="1x1")
        three = unit(x, reduce3, 1, name="3x3_reduce")
        three = unit(three, wide3, 3, name="3x3")
        five = unit(x, reduce5, 1, name="5x5_reduce")
        five = unit(five, wide5, self.wide_kernel, name="5x5")
        pooled = unit(max_pool(x, 3, 1, padding=1), projection, 1, name="pool_proj")
        return jnp.concatenate([one, three, five, pooled], -1)


class AuxiliaryHead(nn.Module):
    """Sec. 5: a small classifier on a middle map, [B, 14, 14, C] -> logits [B, K]."""

    num_classes: int
    adaptive: bool
    dropout: float
    activation: Activation
    unit: ConvUnit
    dense: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: Maps, train: bool) -> Logits:
        window = min(5, *x.shape[1:3])
        x = adaptive_avg_pool(x, 4) if self.adaptive else avg_pool(x, window, 3)  # 4x4xC
        x = self.unit(x, 128, 1, name="conv")  # 4x4x128
        x = x.reshape(x.shape[0], -1)
        x = activate(self.activation, self.dense(1024, name="fc")(x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return self.dense(self.num_classes, name="linear", bias_init=nn.initializers.zeros)(x)


class GoogLeNet(nn.Module):
    """Table 1; images [B, 224, 224, 3], 31 pixels at least (torchvision's form 15)."""

    num_classes: int = 1000
    torchvision_variant: bool = False  # torchvision's epsilon, last pool and heads' pools
    auxiliary: bool = True
    lrn: bool = True
    norm: Norm = "none"
    activation: Activation = "relu"
    pooling: Pooling = "max"
    wide_kernel: Literal[5, 3] = 5
    dropout: Rate = 0.4
    auxiliary_dropout: Rate = 0.7
    head: Literal["avg", "max", "dense"] = "avg"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 15 if self.torchvision_variant else 31, "googlenet")
        start = {
            "kernel_init": nn.initializers.normal(0.01) if self.torchvision_variant else XAVIER,
            "bias_init": nn.initializers.constant(0.0 if self.torchvision_variant else 0.2),
            "dtype": self.dtype,
        }
        dense = functools.partial(nn.Dense, **start)
        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            epsilon=1e-3 if self.torchvision_variant else 1e-5,
            **start,
        )
        runs = self.auxiliary and compute_auxiliary(self, train)
        heads = []

        def inception(x: Maps, name: str) -> Maps:
            widths, kernel = TABLE[name], self.wide_kernel
            return Inception(widths, wide_kernel=kernel, unit=unit, name=f"inception_{name}")(x)

        def pool(x: Maps, number: int, window: int = 3) -> Maps:
            x = window_pool(self.pooling, x, window, stride=2, ceil=True)
            return sow_activation(self, f"pool{number}", x)

        def lrn(x: Maps) -> Maps:
            return local_response_norm(x) if self.lrn else x

        def auxiliary_head(x: Maps, name: str) -> None:
            if runs:
                heads.append(self.make_head(unit, dense, f"auxiliary_{name}")(x, train))

        x = unit(images, 64, 7, stride=2, name="conv1")  # 112x112x64
        x = lrn(pool(x, 1))  # 56x56x64
        x = unit(x, 64, 1, name="conv2_reduce")  # 56x56x64
        x = unit(x, 192, 3, name="conv2")  # 56x56x192
        x = pool(lrn(x), 2)  # 28x28x192
        x = inception(x, "3a")  # 28x28x256
        x = inception(x, "3b")  # 28x28x480
        x = pool(x, 3)  # 14x14x480
        x = inception(x, "4a")  # 14x14x512
        auxiliary_head(x, "4a")
        x = inception(x, "4b")  # 14x14x512
        x = inception(x, "4c")  # 14x14x512
        x = inception(x, "4d")  # 14x14x528
        auxiliary_head(x, "4d")
        x = inception(x, "4e")  # 14x14x832
        x = pool(x, 4, window=2 if self.torchvision_variant else 3)  # 7x7x832
        x = inception(x, "5a")  # 7x7x832
        x = inception(x, "5b")  # 7x7x1024
        if self.head == "dense":
            x = activate(self.activation, dense(1024, name="fc")(x.reshape(x.shape[0], -1)))
        else:
            x = sow_activation(self, "global_pool", global_pool(self.head, x))  # 1024
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        logits = dense(self.num_classes, name="linear", bias_init=nn.initializers.zeros)(x)
        return Output(logits, tuple(heads))

    def make_head(self, unit: ConvUnit, dense: Callable[..., nn.Module], name: str) -> nn.Module:
        return AuxiliaryHead(
            num_classes=self.num_classes,
            adaptive=self.torchvision_variant,
            dropout=self.auxiliary_dropout,
            activation=self.activation,
            unit=unit,
            dense=dense,
            name=name,
        )


TORCHVISION = {
    "torchvision_variant": True,
    "lrn": False,
    "norm": "batch",
    "wide_kernel": 3,
    "dropout": 0.2,
}
NETS = {
    "googlenet": Net(GoogLeNet, {}, not_options=("torchvision_variant",)),
    "googlenet_torchvision": Net(GoogLeNet, TORCHVISION, not_options=("torchvision_variant",)),
}
