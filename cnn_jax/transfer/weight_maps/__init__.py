"""Whose tensor is whose in the weight files of torchvision, timm and others: a net, its name map.

One file for each paper's net; what a map is lies in `name_map.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.transfer.weight_maps import (
    alexnet,
    bn_inception,
    convnext,
    efficientnet,
    googlenet,
    inception_v3,
    inception_v4,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    resnet,
    resnet_v2,
    vgg,
)
from cnn_jax.transfer.weight_maps.name_map import NameMap

MAPS: dict[str, Callable[[], NameMap]] = {
    **alexnet.MAPS,
    **vgg.MAPS,
    **googlenet.MAPS,
    **bn_inception.MAPS,
    **inception_v3.MAPS,
    **inception_v4.MAPS,
    **resnet.MAPS,
    **resnet_v2.MAPS,
    **mobilenet_v1.MAPS,
    **mobilenet_v2.MAPS,
    **mobilenet_v3.MAPS,
    **efficientnet.MAPS,
    **convnext.MAPS,
}
