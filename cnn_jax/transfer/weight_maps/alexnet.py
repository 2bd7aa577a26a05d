"""AlexNet of torchvision: one tower, the input padded."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.transfer.weight_maps.name_map import NameMap, unchanged


def alexnet() -> NameMap:
    modules = {f"conv{i}": f"features.{n}" for i, n in enumerate((0, 3, 6, 8, 10), 1)}
    modules |= {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
    stages = unchanged({"features.2": "pool1", "features.5": "pool2", "features.12": "pool5"})
    stages |= {"classifier.2": ("fc6", jax.nn.relu), "classifier.5": ("fc7", jax.nn.relu)}
    return NameMap("torchvision", modules, flattened={"fc6": (256, 6, 6)}, stages=stages)


MAPS: dict[str, Callable[[], NameMap]] = {"alexnet_torchvision": alexnet}
