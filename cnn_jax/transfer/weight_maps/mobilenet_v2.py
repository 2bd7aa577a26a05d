"""MobileNet v2 of torchvision and timm."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.mobilenet_v2 import BOTTLENECKS
from cnn_jax.transfer.weight_maps.inverted_residual import (
    inverted_residual,
    inverted_residual_in_timm,
    net_in_timm,
    places_in_timm,
)
from cnn_jax.transfer.weight_maps.name_map import NameMap, activated, same, units


def mobilenet_v2() -> NameMap:
    ends = {"conv_first": "features.0", "conv_last": "features.18"}
    modules = units(ends, "0", "1") | {"fc": "classifier.1"}
    stages = activated(ends, jax.nn.relu6)
    stages["features"] = stages["features.18"]
    expansions = [row[0] for row in BOTTLENECKS for _ in range(row[2])]
    for i, expansion in enumerate(expansions, 1):
        module, torch_name = f"bottleneck{i}", f"features.{i}"
        modules |= inverted_residual(module, f"{torch_name}.conv", expansion != 1, False, True)
        stages[torch_name] = (module, same)
    return NameMap("torchvision", modules, stages=stages, timm=mobilenet_v2_in_timm())


def mobilenet_v2_in_timm() -> NameMap:
    modules = {"conv_first": "conv_stem", "conv_first_norm": "bn1", "fc": "classifier"}
    modules |= {"conv_last": "conv_head", "conv_last_norm": "bn2"}
    places = places_in_timm(row[2] for row in BOTTLENECKS)
    expansions = [row[0] for row in BOTTLENECKS for _ in range(row[2])]
    blocks = {f"bottleneck{i}": place for i, place in enumerate(places, 1)}
    for (module, place), expansion in zip(blocks.items(), expansions, strict=True):
        modules |= inverted_residual_in_timm(module, place, expansion != 1, False)
    return net_in_timm(modules, blocks, ("conv_first_norm", jax.nn.relu6))


MAPS: dict[str, Callable[[], NameMap]] = {"mobilenet_v2": mobilenet_v2}
