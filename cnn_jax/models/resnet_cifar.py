"""The 6n+2-layer nets for CIFAR-10: He, Zhang, Ren, Sun, "Deep residual learning for image
recognition", 2015, sec. 4.2.

    3x3, 16 -> layer1 2n of 32x32x16 -> layer2 2n of 16x16x32 -> layer3 2n of 8x8x64 -> mean -> fc

    20: 269,722   32: 464,154   44: 658,586   56: 853,018   110: 1,727,962   1202: 19,421,274

Every shortcut is of option A, so that a residual net has exactly the parameters of its plain
counterpart. Blocks, BatchNorm (epsilon 1e-5, momentum 0.9) and initialisation (N(0, 2 / fan-in),
sec. 3.4) are those of resnet.py; "no dropout". Options off by default: shortcut B (20 layers:
272,474) or C, `zero_init`, `norm`, `activation`, `attention`, `pooling`, `dropout`,
`initialiser="glorot"` of the convolutions.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import flax.linen as nn

from cnn_jax.models.layers import (
    HE_NORMAL,
    Activation,
    Attention,
    ConvUnit,
    Images,
    Norm,
    Output,
    Pooling,
    attention,
    global_pool,
    require_size,
    scan_blocks,
    sow_activation,
)
from cnn_jax.models.options import Rate
from cnn_jax.models.registry import Net
from cnn_jax.models.resnet import BasicBlock, Shortcut

INITIALISERS = {"he": HE_NORMAL, "glorot": nn.initializers.glorot_normal()}


class CifarResNet(nn.Module):
    """Images [B, H, W, C], 32 pixels in the paper -> logits; three stages of basic blocks."""

    num_classes: int = 10
    depth: int = 20
    shortcut: Shortcut = "A"
    attention: Attention = "none"
    norm: Norm = "batch"
    activation: Activation = "relu"
    zero_init: bool = False
    initialiser: Literal["he", "glorot"] = "he"
    pooling: Pooling = "avg"
    dropout: Rate = 0.0
    scan: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, images: Images, train: bool = False) -> Output:
        require_size(images, 1, f"ResNet-{self.depth} for CIFAR")
        init = INITIALISERS[self.initialiser]
        unit = ConvUnit(train, norm=self.norm, kernel_init=init, dtype=self.dtype)
        stem = unit.replace(activation=self.activation)
        block = functools.partial(
            BasicBlock,
            unit=unit,
            gate=functools.partial(
                attention, self.attention, train=train, norm=self.norm, dtype=self.dtype
            ),
            shortcut=self.shortcut,
            activation=self.activation,
            zero_init=self.zero_init,
        )
        x = stem(images, 16, 3, name="conv1")  # 32x32x16
        for level in range(3):  # 32x32x16, 16x16x32, 8x8x64
            first, *others = (f"layer{level + 1}_{i}" for i in range((self.depth - 2) // 6))
            x = block(16 * 2**level, stride=2 if level else 1, name=first)(x)
            same = functools.partial(block, 16 * 2**level, stride=1)
            x = scan_blocks(self, same, others, x, self.scan)
        x = sow_activation(self, "global_pool", global_pool(self.pooling, x))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        fc = nn.Dense(self.num_classes, kernel_init=HE_NORMAL, dtype=self.dtype, name="fc")
        return Output(fc(x))


def cifar(depth: int, **preset: Any) -> Net:
    """The registry's entry for 6n+2 layers."""
    return Net(CifarResNet, {"depth": depth, **preset}, (32, 32, 3), 10, not_options=("depth",))


NETS = {
    **{f"resnet{depth}_cifar": cifar(depth) for depth in (20, 32, 44, 56, 110, 1202)},
    **{f"plain{depth}_cifar": cifar(depth, shortcut="none") for depth in (20, 32, 44, 56, 110)},
}
