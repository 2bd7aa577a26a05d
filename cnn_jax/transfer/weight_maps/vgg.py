"""VGG of torchvision and timm, with BatchNorm and without."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.vgg import COLUMNS
from cnn_jax.transfer.weight_maps.name_map import NameMap, unchanged

# timm's dense layers, of which the first two are convolutions there.
TIMM = {
    "pre_logits.fc1": "classifier.0",
    "pre_logits.fc2": "classifier.3",
    "head.fc": "classifier.6",
}


def vgg(column: str, batch_norm: bool) -> Callable[[], NameMap]:
    def build() -> NameMap:
        modules, pools, position = {}, {}, 0
        for block, kernels in enumerate(COLUMNS[column], 1):
            for i in range(1, len(kernels) + 1):
                modules[f"conv{block}_{i}"] = f"features.{position}"
                if batch_norm:
                    modules[f"conv{block}_{i}_norm"] = f"features.{position + 1}"
                position += 3 if batch_norm else 2
            pools[f"features.{position}"] = f"pool{block}"
            position += 1
        modules |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
        stages = unchanged(pools)
        stages |= {"classifier.1": ("fc6", jax.nn.relu), "classifier.4": ("fc7", jax.nn.relu)}
        options = {} if batch_norm else {"adaptive": True}
        sides = {"fc6": (512, 7, 7)}
        return NameMap("torchvision", modules, options, sides, stages, aliases=TIMM)

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "vgg11": vgg("A", False),
    "vgg13": vgg("B", False),
    "vgg16": vgg("D", False),
    "vgg19": vgg("E", False),
    "vgg11_bn": vgg("A", True),
    "vgg13_bn": vgg("B", True),
    "vgg16_bn": vgg("D", True),
    "vgg19_bn": vgg("E", True),
}
