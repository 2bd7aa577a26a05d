"""MobileNet v1 of timm."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.transfer.weight_maps.name_map import HALVES, NameMap, Preprocessing, unchanged, within


def mobilenet_v1() -> NameMap:
    """timm's, which is trained with ReLU6."""
    modules = {"conv1": "conv_stem", "conv1_norm": "bn1", "fc": "classifier"}
    places = [f"blocks.{i}.{j}" for i, n in enumerate((1, 2, 2, 6, 2)) for j in range(n)]
    parts = {
        "depthwise": "conv_dw",
        "depthwise_norm": "bn1",
        "pointwise": "conv_pw",
        "pointwise_norm": "bn2",
    }
    for i, torch_name in enumerate(places, 1):
        modules |= within(f"block{i}", torch_name, parts)
    stages = {"bn1": ("conv1_norm", jax.nn.relu6)}
    stages |= unchanged({torch_name: f"block{i}" for i, torch_name in enumerate(places, 1)})
    stages |= unchanged({"conv_head": "block13", "global_pool": "global_pool"})
    preprocessing = Preprocessing(interpolation="bicubic", resize=256, **HALVES)
    return NameMap(
        "timm", modules, {"activation": "relu6"}, stages=stages, preprocessing=preprocessing
    )


MAPS: dict[str, Callable[[], NameMap]] = {"mobilenet_v1": mobilenet_v1}
