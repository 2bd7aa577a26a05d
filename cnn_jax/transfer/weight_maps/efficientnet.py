"""EfficientNet B0 to B7 of torchvision and timm."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax

from cnn_jax.models.efficientnet import STAGES, VARIANTS
from cnn_jax.transfer.weight_maps.inverted_residual import (
    inverted_residual,
    inverted_residual_in_timm,
    net_in_timm,
    places_in_timm,
)
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
        timm = efficientnet_in_timm(variant)
        return NameMap("torchvision", modules, {}, {}, stages, preprocessing, timm=timm)

    return build


def efficientnet_in_timm(variant: str) -> NameMap:
    """Its own, as `efficientnet_b0`: its `tf_efficientnet_b0` pads as TensorFlow does."""
    counts = [math.ceil(VARIANTS[variant][1] * row[-1]) for row in STAGES]
    expansions = [row[0] for row, count in zip(STAGES, counts, strict=True) for _ in range(count)]
    modules = {"stage1": "conv_stem", "stage1_norm": "bn1", "fc": "classifier"}
    modules |= {"stage9": "conv_head", "stage9_norm": "bn2"}
    names = [f"stage{level}_{i}" for level, count in enumerate(counts, 2) for i in range(count)]
    blocks = dict(zip(names, places_in_timm(counts), strict=True))
    for (module, place), expansion in zip(blocks.items(), expansions, strict=True):
        modules |= inverted_residual_in_timm(module, place, expansion != 1, True)
    return net_in_timm(modules, blocks, ("stage1_norm", jax.nn.silu), {"epsilon": 1e-5})


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
