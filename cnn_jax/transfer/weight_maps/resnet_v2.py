"""Pre-activation ResNet of timm."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.resnet import STAGES
from cnn_jax.transfer.weight_maps.name_map import (
    HALVES,
    NameMap,
    Preprocessing,
    same,
    unchanged,
    within,
)


def resnet_v2(depth: int) -> Callable[[], NameMap]:
    def build() -> NameMap:
        modules = {"conv1": "stem.conv", "norm": "norm", "fc": "head.fc"}
        stages = unchanged({"stem": "pool1", "stem.pool": "pool1"})
        stages |= {"norm": ("norm", jax.nn.relu), "head.global_pool": ("global_pool", same)}
        layers = enumerate(STAGES[depth][0], 1)
        for layer, count in layers:
            for i in range(count):
                module, torch_name = f"layer{layer}_{i}", f"stages.{layer - 1}.blocks.{i}"
                parts = {f"{part}{j}": f"{part}{j}" for part in ("norm", "conv") for j in (1, 2, 3)}
                parts |= {"shortcut": "downsample.conv"} if i == 0 else {}
                modules |= within(module, torch_name, parts)
                stages[torch_name] = (module, same)
            stages[f"stages.{layer - 1}"] = (f"layer{layer}_{count - 1}", same)
            stages["stages"] = stages[f"stages.{layer - 1}"]
        preprocessing = Preprocessing(224, 235, **HALVES, interpolation="bicubic")
        options = {"stem": "pool_first", "stride_in": "3x3"}
        return NameMap("timm", modules, options=options, stages=stages, preprocessing=preprocessing)

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "resnet50_v2": resnet_v2(50),
    "resnet101_v2": resnet_v2(101),
    "resnet152_v2": resnet_v2(152),
}
