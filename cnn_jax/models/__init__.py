"""The registry of nets: `create(name, num_classes=..., **options)` and `names()`.

A paper is a file; its `NETS` says which names it offers. A net takes float images [B, H, W, C] and
`train`, and returns `Output(logits, auxiliary)`. Its parameters stay float32 whatever its `dtype`.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from cnn_jax.models import (
    alexnet,
    bn_inception,
    convnext,
    efficientnet,
    googlenet,
    inception_v3,
    inception_v4,
    lenet,
    mlp,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    resnet_cifar,
    resnet_v2,
    resnext,
    senet,
    vgg,
    wide_resnet,
)
from cnn_jax.models.layers import Output
from cnn_jax.models.registry import Net, build

REGISTRY: dict[str, Net] = {
    **mlp.NETS,
    **lenet.NETS,
    **alexnet.NETS,
    **vgg.NETS,
    **googlenet.NETS,
    **bn_inception.NETS,
    **inception_v3.NETS,
    **inception_v4.NETS,
    **resnet.NETS,
    **resnet_cifar.NETS,
    **resnet_v2.NETS,
    **wide_resnet.NETS,
    **resnext.NETS,
    **mobilenet_v1.NETS,
    **senet.NETS,
    **mobilenet_v2.NETS,
    **mobilenet_v3.NETS,
    **efficientnet.NETS,
    **convnext.NETS,
}


def names() -> list[str]:
    """Every registered name, in the order of the papers."""
    return list(REGISTRY)


def create(
    name: str, num_classes: int | None = None, *, dtype: Any = None, **options: Any
) -> nn.Module:
    """The net `name`, with `num_classes` logits (the paper's number by default).

    `options` are the net's ablations (`norm="none"`, `lrn=False`, ...). An unknown name, option or
    value raises `UserError`, which names the choices.
    """
    return build(REGISTRY, name, num_classes, dtype, options)


__all__ = ["REGISTRY", "Net", "Output", "create", "names"]
