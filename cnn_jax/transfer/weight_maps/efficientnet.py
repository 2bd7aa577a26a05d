"""EfficientNet B0 to B7 of torchvision."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax

from cnn_jax.models.efficientnet import STAGES, VARIANTS
from cnn_jax.transfer.weight_maps.inverted_residual import inverted_residual
from cnn_jax.transfer.weight_maps.name_map import (
    NameMap,
    Preprocessing,
    activated,
    same,
    unchanged,
    units,
)


def efficientnet(variant: str, image_size: int, resize: int) -> Callable[[], NameMap]:
    def build() -> NameMap:
        depth = VARIANTS[variant][1]
        ends = {"stage1": "features.0", "stage9": "features.8"}
        modules = units(ends, "0", "1") | {"fc": "classifier.1"}
        stages = activated(ends, jax.nn.silu) | unchanged({"avgpool": "global_pool"})
        stages["features"] = stages["features.8"]
        for level, (expansion, *_, count) in enumerate(STAGES, 1):
            for i in range(math.ceil(depth * count)):
                module, torch_name = f"stage{level + 1}_{i}", f"features.{level}.{i}"
                modules |= inverted_residual(module, f"{torch_name}.block", expansion != 1, True)
                stages[torch_name] = stages[f"features.{level}"] = (module, same)
        preprocessing = Preprocessing(image_size, resize, interpolation="bicubic")
        return NameMap("torchvision", modules, stages=stages, preprocessing=preprocessing)

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "efficientnet_b0": efficientnet("b0", 224, 256),
    "efficientnet_b1": efficientnet("b1", 240, 256),
    "efficientnet_b2": efficientnet("b2", 288, 288),
    "efficientnet_b3": efficientnet("b3", 300, 320),
    "efficientnet_b4": efficientnet("b4", 380, 384),
    "efficientnet_b5": efficientnet("b5", 456, 456),
    "efficientnet_b6": efficientnet("b6", 528, 528),
    "efficientnet_b7": efficientnet("b7", 600, 600),
}
