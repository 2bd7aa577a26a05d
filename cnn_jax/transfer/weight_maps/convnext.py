"""ConvNeXt of torchvision."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.models.convnext import DEPTHS
from cnn_jax.transfer.weight_maps.name_map import NameMap, Preprocessing, same, unchanged, within


def convnext_tiny() -> NameMap:
    modules = {"stem": "features.0.0", "stem_norm": "features.0.1"}
    modules |= {"norm": "classifier.0", "fc": "classifier.2"}
    stages = unchanged({"features.0": "stem_norm", "avgpool": "global_pool"})
    block = {"depthwise": "0", "norm": "2", "expand": "3", "project": "5"}
    for level, count in enumerate(DEPTHS, 1):
        position = 2 * level - 1
        if level > 1:
            between = f"features.{position - 1}"
            modules |= {f"downsample{level}_norm": f"{between}.0"}
            modules |= {f"downsample{level}": f"{between}.1"}
            stages[between] = (f"downsample{level}", same)
        for i in range(count):
            module, torch_name = f"stage{level}_{i}", f"features.{position}.{i}"
            modules[module] = torch_name  # for its layer scale
            modules |= within(module, f"{torch_name}.block", block)
            stages[torch_name] = stages[f"features.{position}"] = stages["features"] = (
                module,
                same,
            )
    return NameMap("torchvision", modules, stages=stages, preprocessing=Preprocessing(resize=236))


MAPS: dict[str, Callable[[], NameMap]] = {"convnext_tiny": convnext_tiny}
