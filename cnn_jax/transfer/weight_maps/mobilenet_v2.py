"""MobileNet v2 of torchvision."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.mobilenet_v2 import BOTTLENECKS
from cnn_jax.transfer.weight_maps.inverted_residual import inverted_residual
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
    return NameMap("torchvision", modules, stages=stages)


MAPS: dict[str, Callable[[], NameMap]] = {"mobilenet_v2": mobilenet_v2}
