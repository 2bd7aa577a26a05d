"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural
networks", NIPS 2012.

    input 227 -> conv1 96@55 -> pool 27 -> conv2 256@27 -> pool 13 -> conv3 384@13 -> conv4 384@13
    -> conv5 256@13 -> pool 6 -> fc6 4096 -> fc7 4096 -> fc8 1000

- `alexnet`: 60,965,224 parameters. Half of the kernels live in each of two towers (the paper's two
  GPUs, sec. 3.2): conv2, conv4 and conv5 see the maps of their own tower only, conv3 and the dense
  layers see all. `towers=1` joins them: 62,378,344. The paper prints an input of 224; only 227
  without padding gives its 55x55 maps.
- `alexnet_geron`: 201,838,952. A textbook's table (Geron, "Hands-on machine learning with
  Scikit-Learn and TensorFlow", 2017, table 13-2): 224 pixels, one tower, no pool after conv5 (its
  C7), so that fc6 sees 13x13x256; LRN of depth radius 2, alpha 2e-5, k 1. Its table has "SAME" and
  55x55 for conv1; SAME gives 56x56. The sizes are kept, by three zeros in each direction;
  `border="same"` is the other reading, with the same parameters and the same 27x27 after pool1.
- `alexnet_torchvision`: 61,100,840. torchvision's net after Krizhevsky, "One weird trick for
  parallelizing convolutional neural networks", 2014: one tower of 64-192-384-256-256 kernels, no
  LRN, two pixels of padding in conv1, dropout before fc6 and fc7, adaptive pooling to 6x6.

Constants: ReLU everywhere (sec. 3.1). LRN after the ReLU of conv1 and conv2: k 2, n 5, alpha 1e-4,
beta 0.75 (sec. 3.3); a tower normalises over its own maps, as it would on its own GPU. Max-pools of
3x3 every 2, overlapping, after conv1, conv2 and conv5 (sec. 3.4). Dropout 0.5 after fc6 and fc7
(sec. 4.2). Weights from N(0, 0.01^2); biases 1 in conv2, conv4, conv5, fc6, fc7, else 0 (sec. 5).

Options off by default, none of them the paper's net:
- `towers=1`, `lrn=False`, `overlap=False` (2x2 every 2), `dropout=0.0`, `activation="tanh"`, ...:
  the paper's own ablations. `kernels="half"` with `towers=1` is the one-GPU net that sec. 3.2
  compares with: half of the kernels, except in conv5 (its footnote 2).
- `norm`: between a convolution and its non-linearity; the biases that it would cancel go.
- `head="avg"` or `"max"`: a global pool and one linear layer for the three dense ones.
- `border`: zeros around the image: `"to_227"` three in each direction, `"same"` TensorFlow's seven.
- `last_pool=False`: fc6 sees conv5's 13x13 maps.
- `lrn_depth_radius`, `lrn_alpha`, `lrn_k`: n = 2 r + 1 maps, by TensorFlow's word for it.
- `adaptive=True`: average pooling to 6x6 before fc6. Without it another input size gives fc6
  another number of inputs.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    Activation,
    ConvolutionalDense,
    ConvUnit,
    Images,
    Maps,
    Norm,
    Output,
    Pooling,
    activate,
    adaptive_avg_pool,
    global_pool,
    local_response_norm,
    mean_positions,
    require_size,
    sow_activation,
    window_pool,
)
from cnn_jax.models.options import Count, NonNegative, Rate, Scale
from cnn_jax.models.registry import Net

GAUSSIAN = nn.initializers.normal(0.01)
ONES = nn.initializers.ones
UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


Border = Literal["none", "to_227", "same"]


def lrn_by_tower(
    x: Maps, towers: int, depth_radius: int = 2, alpha: float = 1e-4, k: float = 2.0
) -> Maps:
    """LRN over the maps of each tower apart: a tower's maps lie together in the channels."""
    apart = x.reshape(*x.shape[:3], towers, x.shape[3] // towers)
    return local_response_norm(apart, 2 * depth_radius + 1, alpha, k=k).reshape(x.shape)


def smallest_image(border: Border, overlap: bool, last_pool: bool) -> int:
    """The side from which the last pool puts out one pixel."""
    side = 1  # backwards: pools of 3 or 2 every 2, then 11x11 every 4
    for _ in range(3 if last_pool else 2):
        side = 2 * (side - 1) + (3 if overlap else 2)
    return 4 * (side - 1) + {"none": 11, "to_227": 8, "same": 1}[border]


class AlexNet(nn.Module):
    """The 2012 net; images [B, 227, 227, 3], 67 pixels at least (39 with `overlap=False`).

    `alexnet_geron` takes 224, 32 at least.
    """

    num_classes: int = 1000
    towers: Literal[2, 1] = 2
    kernels: Literal["all", "half"] = "all"
    border: Border = "none"
    lrn: bool = True
    lrn_depth_radius: Count = 2
    lrn_alpha: NonNegative = 1e-4
    lrn_k: Scale = 2.0
    overlap: bool = True
    last_pool: bool = True
    pooling: Pooling = "max"
    activation: Activation = "relu"
    norm: Norm = "none"
    dropout: Rate = 0.5
    head: Literal["dense", "avg", "max"] = "dense"
    adaptive: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, smallest_image(self.border, self.overlap, self.last_pool), "alexnet")
        kernels = (96, 256, 384, 384, 256) if self.kernels == "all" else (48, 128, 192, 192, 256)

        unit = ConvUnit(
            train,
            norm=self.norm,
            activation=self.activation,
            kernel_init=GAUSSIAN,
            dtype=self.dtype,
        )

        def convolve(x: Maps, layer: int, kernel: int, **options: Any) -> Maps:
            start = unit.replace(bias_init=ONES) if layer in (2, 4, 5) else unit
            return start(x, kernels[layer - 1], kernel, name=f"conv{layer}", **options)

        def lrn(x: Maps, layer: int) -> Maps:
            if not self.lrn:
                return x
            constants = (self.lrn_depth_radius, self.lrn_alpha, self.lrn_k)
            return sow_activation(self, f"lrn{layer}", lrn_by_tower(x, self.towers, *constants))

        def pool(x: Maps, layer: int) -> Maps:
            x = window_pool(self.pooling, x, 3 if self.overlap else 2, 2)
            return sow_activation(self, f"pool{layer}", x)

        zeros = {"none": "VALID", "to_227": [(1, 2), (1, 2)], "same": "SAME"}[self.border]
        x = convolve(images, 1, 11, stride=4, padding=zeros)  # 55x55x96
        x = pool(lrn(x, 1), 1)  # 27x27x96
        x = convolve(x, 2, 5, groups=self.towers)  # 27x27x256
        x = pool(lrn(x, 2), 2)  # 13x13x256
        x = convolve(x, 3, 3)  # 13x13x384
        x = convolve(x, 4, 3, groups=self.towers)  # 13x13x384
        x = convolve(x, 5, 3, groups=self.towers)  # 13x13x256
        x = pool(x, 5) if self.last_pool else x  # 6x6x256

        dense = functools.partial(nn.Dense, kernel_init=GAUSSIAN, dtype=self.dtype)
        if self.head != "dense":
            x = sow_activation(self, "global_pool", global_pool(self.head, x))
            return Output(dense(self.num_classes, name="fc8")(x))
        x = adaptive_avg_pool(x, 6) if self.adaptive else x
        start = {"kernel_init": GAUSSIAN, "bias_init": ONES, "dtype": self.dtype}
        for layer, name in ((ConvolutionalDense, "fc6"), (nn.Dense, "fc7")):
            x = activate(self.activation, layer(4096, **start, name=name)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Output(mean_positions(dense(self.num_classes, name="fc8")(x)))


class AlexNetTorchvision(nn.Module):
    """torchvision's net; images [B, 224, 224, 3], 63 pixels at least, of any larger size.

    Weights start as torch's: uniform on +-1/sqrt(fan_in); biases at 0.
    """

    num_classes: int = 1000
    lrn: bool = False
    pooling: Pooling = "max"
    activation: Activation = "relu"
    norm: Norm = "none"
    adaptive: bool = True
    dropout: Rate = 0.5
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 63, "alexnet_torchvision")
        common = {"dtype": self.dtype, "kernel_init": UNIFORM}
        unit = ConvUnit(train, norm=self.norm, activation=self.activation, **common)

        def pool(x: Maps, layer: int, lrn: bool) -> Maps:
            x = local_response_norm(x) if lrn else x
            return sow_activation(self, f"pool{layer}", window_pool(self.pooling, x, 3, 2))

        x = unit(images, 64, 11, stride=4, padding=2, name="conv1")  # 55x55x64
        x = pool(x, 1, self.lrn)  # 27x27x64
        x = unit(x, 192, 5, name="conv2")  # 27x27x192
        x = pool(x, 2, self.lrn)  # 13x13x192
        x = unit(x, 384, 3, name="conv3")  # 13x13x384
        x = unit(x, 256, 3, name="conv4")  # 13x13x256
        x = unit(x, 256, 3, name="conv5")  # 13x13x256
        x = pool(x, 5, lrn=False)  # 6x6x256

        dense = functools.partial(nn.Dense, **common)
        x = adaptive_avg_pool(x, 6) if self.adaptive else x
        for layer, name in ((ConvolutionalDense, "fc6"), (nn.Dense, "fc7")):
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = activate(self.activation, layer(4096, **common, name=name)(x))
        return Output(mean_positions(dense(self.num_classes, name="fc8")(x)))


GERON = {
    "towers": 1,
    "border": "to_227",
    "last_pool": False,
    "lrn_alpha": 2e-5,
    "lrn_k": 1.0,
}
NETS = {
    "alexnet": Net(AlexNet, {}, (227, 227, 3)),
    "alexnet_geron": Net(AlexNet, GERON, (224, 224, 3)),
    "alexnet_torchvision": Net(AlexNetTorchvision, {}, (224, 224, 3)),
}
