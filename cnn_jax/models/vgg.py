"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015, table 1.

    input 224 -> block 1 64@112 -> block 2 128@56 -> block 3 256@28 -> block 4 512@14
    -> block 5 512@7 -> fc6 4096 -> fc7 4096 -> fc8 1000

| name | column | parameters | | name | column | parameters |
|---|---|---|---|---|---|---|
| `vgg11` | A | 132,863,336 | | `vgg16_c` | C (1x1 in blocks 3 to 5) | 133,638,952 |
| `vgg11_lrn` | A-LRN | 132,863,336 | | `vgg16` | D | 138,357,544 |
| `vgg13` | B | 133,047,848 | | `vgg19` | E | 143,667,240 |

`vgg11_bn`, `vgg13_bn`, `vgg16_bn`, `vgg19_bn` are torchvision's: BatchNorm (momentum 0.9, epsilon
1e-5) after every convolution, whose bias stays, and average pooling to 7x7 before fc6: 132,868,840,
133,053,736, 138,365,992, 143,678,248.

Three stacked 3x3 see 7x7, as one 7x7 does, with 27 C^2 weights for 49 C^2 and two non-linearities
more; two see 5x5, with 18 C^2 for 25 C^2 (sec. 2.3).

Constants: 3x3 convolutions that keep the size, ReLU, 2x2 max-pools every 2 (sec. 2.1). LRN, in
A-LRN alone and after its first convolution, has AlexNet's constants (sec. 2.1). Dropout 0.5 after
fc6 and fc7 (sec. 3.1). The paper starts A from a Gaussian of variance 1e-2 and the deeper columns
from a trained A; a note in sec. 3.1 finds that the procedure of Glorot & Bengio 2010 trains every
column from scratch, so that is the default, and `initialiser="gaussian"` the other. Biases start at
0.

Options off by default, none of them the paper's net:
- `stacked=False`: each block's stack becomes one convolution of the same field, as sec. 4.1 tries
  on B (a pair of 3x3 becomes one 5x5).
- `width=0.25`: a quarter of the channels of every convolution, and of fc6 and fc7.
- `lrn`, `norm`, `pooling`, `activation`, `dropout`; a `norm` keeps the biases, as in torchvision.
- `head="avg"` or `"max"`: a global pool and one linear layer for the three dense ones.
- `adaptive=True`: average pooling to 7x7 before fc6, as torchvision has it. Without it another
  input size gives fc6 another number of inputs.
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
from cnn_jax.models.options import Rate, Scale
from cnn_jax.models.registry import Net

# The kernel of each convolution of the five blocks, by column of table 1.
COLUMNS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
WIDTHS = (64, 128, 256, 512, 512)
INITIALISERS = {
    "glorot": nn.initializers.glorot_uniform(),
    "gaussian": nn.initializers.normal(0.1),  # a variance of 1e-2
}


class VGG(nn.Module):
    """One column of table 1; images [B, 224, 224, 3], 32 pixels at least."""

    num_classes: int = 1000
    column: str = "D"
    width: Scale = 1.0
    stacked: bool = True
    lrn: bool = False
    pooling: Pooling = "max"
    activation: Activation = "relu"
    norm: Norm = "none"
    dropout: Rate = 0.5
    head: Literal["dense", "avg", "max"] = "dense"
    adaptive: bool = False
    initialiser: Literal["glorot", "gaussian"] = "glorot"
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 32, "vgg")
        common = {"dtype": self.dtype, "kernel_init": INITIALISERS[self.initialiser]}
        unit = ConvUnit(train, norm=self.norm, activation=self.activation, bias=True, **common)
        dense = functools.partial(nn.Dense, **common)

        x = images
        # 112x112x64, 56x56x128, 28x28x256, 14x14x512, 7x7x512
        for block, (width, kernels) in enumerate(zip(WIDTHS, COLUMNS[self.column], strict=True), 1):
            width = max(1, round(self.width * width))
            if not self.stacked:
                kernels = (1 + sum(k - 1 for k in kernels),)
            for i, kernel in enumerate(kernels, 1):
                x = unit(x, width, kernel, name=f"conv{block}_{i}")
                if self.lrn and (block, i) == (1, 1):
                    x = sow_activation(self, "lrn1", local_response_norm(x))
            x = sow_activation(self, f"pool{block}", window_pool(self.pooling, x, 2, 2))

        if self.head != "dense":
            x = sow_activation(self, "global_pool", global_pool(self.head, x))
            return Output(dense(self.num_classes, name="fc8")(x))
        x = adaptive_avg_pool(x, 7) if self.adaptive else x
        for layer, name in ((ConvolutionalDense, "fc6"), (nn.Dense, "fc7")):
            x = activate(
                self.activation, layer(max(1, round(self.width * 4096)), **common, name=name)(x)
            )
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return Output(mean_positions(dense(self.num_classes, name="fc8")(x)))


def column(letter: str, **preset: Any) -> Net:
    return Net(VGG, {"column": letter, **preset}, (224, 224, 3), not_options=("column",))


TORCHVISION = {"norm": "batch", "adaptive": True}
NETS = {
    "vgg11": column("A"),
    "vgg11_lrn": column("A", lrn=True),
    "vgg13": column("B"),
    "vgg16_c": column("C"),
    "vgg16": column("D"),
    "vgg19": column("E"),
    "vgg11_bn": column("A", **TORCHVISION),
    "vgg13_bn": column("B", **TORCHVISION),
    "vgg16_bn": column("D", **TORCHVISION),
    "vgg19_bn": column("E", **TORCHVISION),
}
