"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998, sec. II-B and appendix A.

    input 32x32 -> C1 6@28x28 -> S2 6@14x14 -> C3 16@10x10 -> S4 16@5x5 -> C5 120 -> F6 84 -> 10

- `lenet5_1998` is the published net, 60,000 trainable parameters: C3 sees S2 through table I, S2
  and S4 multiply a 2x2 sum by a trained coefficient and add a trained bias, every layer up to F6 is
  squashed by 1.7159 tanh(2x/3), a class's logit is minus the squared distance of F6 to its code.
- `lenet5` is the net that is taught today, 61,706: full C3, plain 2x2 average, linear output, tanh.
- `bn_lenet` is `lenet5` with BatchNorm before each non-linearity and without the biases that it
  cancels (Ioffe & Szegedy 2015, sec. 3.2): 61,706 - 226 + 452 = 61,932, and 452 running statistics.

- `bn_lenet_d2l` is the net of a textbook (Zhang, Lipton, Li, Smola, "Dive into deep learning",
  "Batch normalization"), 44,878: sigmoids, averages, the biases that BatchNorm cancels, and 28
  pixels without a border, 24 -> 12 -> 8 -> 4 a side.

`activation="sigmoid"` with `f6="tanh"` is the form of lecture notes. `pooling="stride"` has no
pools: the convolutions before them have a stride of 2 (Springenberg et al. 2015, sec. 2.1).
`norm_place="after"`: the norm follows the non-linearity, whose layer keeps its bias.

Images under 32 pixels are zero-padded to 32, as the paper centres its 28x28 characters, unless
`border="none"`. Larger ones give C5 more inputs. The paper prints the class codes as a picture
only (fig. 3): the bitmaps here are drawn after it by hand, in strokes of one pixel, where other
readings of it have two; no two are nearer than 24 (squared). Classes beyond the ten digits get
random codes from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype

from cnn_jax.errors import UserError
from cnn_jax.models.layers import (
    CENTRING_NORMS,
    Activation,
    Activations,
    Images,
    Maps,
    Norm,
    Output,
    Vectors,
    activate,
    activate_normalised,
    conv,
    norm,
    require_size,
    window_pool,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net

# Table I: the S2 maps that each of the 16 C3 maps sees.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# The digits 0 to 9 in seven columns, one word a row; the twelfth row is empty.
BITMAPS = (
    "..###.. .#...#. #.....# #.....# #.....# #.....# #.....# #.....# #.....# .#...#. ..###..",
    "...#... ..##... .#.#... ...#... ...#... ...#... ...#... ...#... ...#... ...#... .#####.",
    ".#####. #.....# ......# ......# .....#. ....#.. ...#... ..#.... .#..... #...... #######",
    ".#####. #.....# ......# ......# .....#. ..###.. .....#. ......# ......# #.....# .#####.",
    ".....#. ....##. ...#.#. ..#..#. .#...#. #....#. ####### .....#. .....#. .....#. .....#.",
    "####### #...... #...... #...... ######. ......# ......# ......# ......# #.....# .#####.",
    "..####. .#..... #...... #...... #.####. ##....# #.....# #.....# #.....# .#...#. ..###..",
    "####### ......# .....#. .....#. ....#.. ....#.. ...#... ...#... ..#.... ..#.... ..#....",
    ".#####. #.....# #.....# #.....# .#...#. ..###.. .#...#. #.....# #.....# #.....# .#####.",
    "..###.. .#...#. #.....# #.....# #.....# #....## .####.# ......# ......# .....#. .####..",
)


def class_codes(num_classes: int) -> np.ndarray:
    """The fixed targets of F6, [num_classes, 84] of +1 and -1: bitmaps first, then random codes."""
    digits = [
        [1.0 if c == "#" else -1.0 for c in (b + " .......").replace(" ", "")] for b in BITMAPS
    ]
    extra = np.random.RandomState(1998).choice([-1.0, 1.0], (max(0, num_classes - 10), 84))
    return np.concatenate([np.array(digits), extra])[:num_classes].astype(np.float32)


def uniform_by_fan_in(fan_in: int) -> nn.initializers.Initializer:
    """Uniform on [-2.4 / F, 2.4 / F], F the number of inputs of a unit (appendix A)."""

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -2.4 / fan_in, 2.4 / fan_in)

    return init


class PartialConv(nn.Module):
    """A 5x5 convolution whose output map j sees only the input maps `table[j]`."""

    table: tuple[tuple[int, ...], ...] = C3_TABLE
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        maps_in, maps_out = x.shape[-1], len(self.table)
        pairs = [(i, j) for j, seen in enumerate(self.table) for i in seen]

        def init(key: jax.Array, shape: Sequence[int]) -> jax.Array:
            fan_in = np.array([25 * len(self.table[j]) for _, j in pairs], np.float32)
            return jax.random.uniform(key, shape, jnp.float32, -2.4, 2.4) / fan_in[None, None]

        kernel = self.param("kernel", init, (5, 5, len(pairs)))  # one 5x5 for each connection
        bias = self.param("bias", nn.initializers.zeros, (maps_out,))
        columns = np.array([i * maps_out + j for i, j in pairs])
        dense = jnp.zeros((5, 5, maps_in * maps_out)).at[..., columns].set(kernel)
        dense = dense.reshape(5, 5, maps_in, maps_out)
        x, dense, bias = promote_dtype(x, dense, bias, dtype=self.dtype)
        dims = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, dense, (1, 1), "VALID", dimension_numbers=dims)
        return x + bias[None, None, None]


class Subsampling(nn.Module):
    """The sum over 2x2, times a trained coefficient, plus a trained bias: two numbers a map."""

    dtype: Any = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        coefficient = self.param("coefficient", uniform_by_fan_in(4), (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        x = 4 * window_pool("avg", x, 2, 2)
        x, coefficient, bias = promote_dtype(x, coefficient, bias, dtype=self.dtype)
        return x * coefficient[None, None, None] + bias[None, None, None]


class LeNet5(nn.Module):
    """LeNet-5, from the published net to today's by its options."""

    num_classes: int = 10
    c3: Literal["partial", "full"] = "full"
    pooling: Literal["trainable", "avg", "max", "stride"] = "avg"
    output: Literal["rbf", "linear"] = "linear"
    activation: Activation = "tanh"
    f6: Literal["as_the_others", "tanh"] = "as_the_others"
    norm: Norm = "none"
    norm_place: Literal["before", "after"] = "before"  # the non-linearity
    biases: Literal["effective", "all"] = "effective"  # or those that a norm cancels, too
    border: Literal["to_32", "none"] = "to_32"
    dropout: Rate = 0.0
    initialiser: Literal["fan_in", "glorot"] = "glorot"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        def kernel_init(fan_in: int) -> nn.initializers.Initializer:
            glorot = nn.initializers.glorot_uniform()
            return uniform_by_fan_in(fan_in) if self.initialiser == "fan_in" else glorot

        def convolve(x: Maps, maps: int, name: str) -> Maps:
            bias = self.biases == "all" or self.norm not in CENTRING_NORMS
            stride = 2 if self.pooling == "stride" else 1
            common = {"name": name, "kernel_init": kernel_init(25 * x.shape[-1])}
            common["dtype"] = self.dtype
            bias = bias or self.norm_place == "after"
            return conv(maps, 5, stride, padding="VALID", bias=bias, **common)(x)

        def dense(x: Vectors, units: int, name: str) -> Vectors:
            bias = self.biases == "all" or self.norm != "batch" or self.norm_place == "after"
            init = kernel_init(x.shape[-1])
            return nn.Dense(units, use_bias=bias, name=name, kernel_init=init, dtype=self.dtype)(x)

        def norm_act(x: Activations, layer: str) -> Activations:
            activation = "tanh" if layer == "f6" and self.f6 == "tanh" else self.activation
            normed = norm(self.norm, train, name=f"norm_{layer}", dtype=self.dtype)
            if self.norm_place == "after":
                return normed(activate(activation, x))
            return activate_normalised(activation, normed, x)

        def pool(x: Maps, name: str) -> Maps:
            if self.pooling == "stride":
                return x
            if self.pooling == "trainable":
                return activate(self.activation, Subsampling(self.dtype, name=name)(x))
            return window_pool(self.pooling, x, 2, 2)

        if self.pooling == "stride" and self.c3 == "partial":
            raise UserError("model.pooling='stride' strides a full C3: set model.c3='full'")
        if self.border == "none":
            require_size(images, 16, "lenet5 without a border")
        least = 32 if self.border == "to_32" else 0
        short = [max(0, least - side) for side in images.shape[1:3]]
        x = jnp.pad(images, [(0, 0), *((s // 2, s - s // 2) for s in short), (0, 0)])
        x = norm_act(convolve(x, 6, "c1"), "c1")  # 28x28x6
        x = pool(x, "s2")  # 14x14x6
        if self.c3 == "partial":
            x = PartialConv(dtype=self.dtype, name="c3")(x)
        else:
            x = convolve(x, 16, "c3")
        x = norm_act(x, "c3")  # 10x10x16
        x = pool(x, "s4")  # 5x5x16
        x = x.reshape(x.shape[0], -1)
        x = norm_act(dense(x, 120, "c5"), "c5")  # a convolution over the whole 5x5 map
        x = norm_act(dense(x, 84, "f6"), "f6")
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        if self.output == "rbf":
            distance = x[:, None] - jnp.asarray(class_codes(self.num_classes), x.dtype)[None]
            return Output(-jnp.square(distance).sum(-1))
        init = kernel_init(x.shape[-1])
        return Output(
            nn.Dense(self.num_classes, name="output", kernel_init=init, dtype=self.dtype)(x)
        )


PUBLISHED = {
    "c3": "partial",
    "pooling": "trainable",
    "output": "rbf",
    "activation": "scaled_tanh",
    "initialiser": "fan_in",
}
D2L = {"norm": "batch", "activation": "sigmoid", "biases": "all", "border": "none"}
NETS = {
    "lenet5_1998": Net(LeNet5, PUBLISHED, (32, 32, 1), 10),
    "lenet5": Net(LeNet5, {}, (32, 32, 1), 10),
    "bn_lenet": Net(LeNet5, {"norm": "batch"}, (32, 32, 1), 10),
    "bn_lenet_d2l": Net(LeNet5, D2L, (28, 28, 1), 10),
}
