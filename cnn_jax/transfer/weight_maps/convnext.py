"""ConvNeXt of torchvision and timm."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.models.convnext import DEPTHS
from cnn_jax.transfer.weight_maps.name_map import (
    TENSORS,
    NameMap,
    Preprocessing,
    same,
    unchanged,
    within,
)


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
    preprocessing = Preprocessing(resize=236)
    timm = convnext_tiny_in_timm()
    return NameMap("torchvision", modules, {}, {}, stages, preprocessing, timm=timm)


def convnext_tiny_in_timm() -> NameMap:
    """The names of the authors' release, but for the head's and the dense layers'."""
    modules = {"stem": "stem.0", "stem_norm": "stem.1", "norm": "head.norm", "fc": "head.fc"}
    stages = unchanged({"stem": "stem_norm"})
    block = {"depthwise": "conv_dw", "norm": "norm", "expand": "mlp.fc1", "project": "mlp.fc2"}
    for level, count in enumerate(DEPTHS, 1):
        stage = f"stages.{level - 1}"
        if level > 1:
            modules |= {f"downsample{level}_norm": f"{stage}.downsample.0"}
            modules |= {f"downsample{level}": f"{stage}.downsample.1"}
        for i in range(count):
            module, torch_name = f"stage{level}_{i}", f"{stage}.blocks.{i}"
            modules[module] = torch_name  # for its layer scale
            modules |= within(module, torch_name, block)
            stages[torch_name] = stages[stage] = stages["stages"] = (module, same)
    tensors = {**TENSORS, "layer_scale": "gamma"}
    preprocessing = Preprocessing(interpolation="bicubic")
    return NameMap("timm", modules, {}, {}, stages, preprocessing, tensors=tensors)


MAPS: dict[str, Callable[[], NameMap]] = {"convnext_tiny": convnext_tiny}
