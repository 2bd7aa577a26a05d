"""BN-Inception of Caffe, as the package pretrainedmodels names it."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.models.bn_inception import TABLE
from cnn_jax.transfer.weight_maps.name_map import NameMap, Preprocessing, unchanged


def bn_inception() -> NameMap:
    names = {"conv1": "conv1_7x7_s2", "conv2_reduce": "conv2_3x3_reduce", "conv2": "conv2_3x3"}
    halving = ["3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2"]
    for name in TABLE:
        parts = halving if name in ("3c", "4e") else ["1x1", *halving, "pool_proj"]
        names |= {f"inception_{name}/{part}": f"inception_{name}_{part}" for part in parts}
    modules = names | {f"{module}_norm": f"{torch_name}_bn" for module, torch_name in names.items()}
    modules["linear"] = "last_linear"
    stages = unchanged({"pool1_3x3_s2": "pool1", "pool2_3x3_s2": "pool2"})
    stages |= unchanged({"global_pool": "global_pool"})
    preprocessing = Preprocessing(
        mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255,) * 3, channels="BGR"
    )
    return NameMap(
        "pretrainedmodels", modules, {"bias": True}, stages=stages, preprocessing=preprocessing
    )


MAPS: dict[str, Callable[[], NameMap]] = {"bn_inception": bn_inception}
