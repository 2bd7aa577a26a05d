"""GoogLeNet of torchvision: with BatchNorm, and 3x3 in place of 5x5."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.models.googlenet import TABLE
from cnn_jax.transfer.weight_maps.name_map import NameMap, activated, same, unchanged, units, within


def googlenet() -> NameMap:
    stem = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3"}
    branches = {
        "1x1": "branch1",
        "3x3_reduce": "branch2.0",
        "3x3": "branch2.1",
        "5x5_reduce": "branch3.0",
        "5x5": "branch3.1",
        "pool_proj": "branch4.1",
    }
    modules = units(stem)
    stages = activated(stem)
    for name in TABLE:
        modules |= units(within(f"inception_{name}", f"inception{name}", branches))
        stages[f"inception{name}"] = (f"inception_{name}", same)
    for module, torch_name in {"auxiliary_4a": "aux1", "auxiliary_4d": "aux2"}.items():
        modules |= units(within(module, torch_name, {"conv": "conv"}))
        modules |= within(module, torch_name, {"fc": "fc1", "linear": "fc2"})
    modules["linear"] = "fc"
    stages |= unchanged({f"maxpool{i}": f"pool{i}" for i in range(1, 5)})
    stages |= unchanged({"avgpool": "global_pool", "dropout": "global_pool"})
    flattened = {"auxiliary_4a/fc": (128, 4, 4), "auxiliary_4d/fc": (128, 4, 4)}
    return NameMap("torchvision", modules, {}, flattened, stages, transforms_input="1378be20")


MAPS: dict[str, Callable[[], NameMap]] = {"googlenet_torchvision": googlenet}
