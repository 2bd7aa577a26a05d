"""MobileNet v3 of torchvision, small and large."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.mobilenet_v3 import LARGE, SMALL
from cnn_jax.transfer.weight_maps.inverted_residual import inverted_residual
from cnn_jax.transfer.weight_maps.name_map import NameMap, activated, same, unchanged, units


def mobilenet_v3(table: tuple[tuple, ...]) -> Callable[[], NameMap]:
    def build() -> NameMap:
        last = f"features.{len(table) + 1}"
        ends = {"conv_first": "features.0", "conv_last": last}
        modules = units(ends, "0", "1") | {"fc1": "classifier.0", "fc2": "classifier.3"}
        stages = activated(ends, jax.nn.hard_swish) | unchanged({"avgpool": "global_pool"})
        stages["features"] = stages[last]
        channels = 16
        for i, (_, expanded, features, squeezes, _, _) in enumerate(table, 1):
            module, torch_name = f"bneck{i}", f"features.{i}"
            expands = expanded != channels
            modules |= inverted_residual(module, f"{torch_name}.block", expands, squeezes)
            stages[torch_name] = (module, same)
            channels = features
        return NameMap("torchvision", modules, stages=stages)

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "mobilenet_v3_small": mobilenet_v3(SMALL),
    "mobilenet_v3_large": mobilenet_v3(LARGE),
}
