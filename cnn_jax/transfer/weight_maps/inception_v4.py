"""Inception v4 of timm."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.transfer.weight_maps.name_map import (
    HALVES,
    NameMap,
    Preprocessing,
    same,
    unchanged,
    units,
    within,
)

STEM = {
    "conv_1a": "0",
    "conv_2a": "1",
    "conv_2b": "2",
    "mixed_3a_3x3": "3.conv",
    "mixed_4a_3x3_reduce": "4.branch0.0",
    "mixed_4a_3x3": "4.branch0.1",
    "mixed_4a_7x7_reduce": "4.branch1.0",
    "mixed_4a_7x7_1x7": "4.branch1.1",
    "mixed_4a_7x7_7x1": "4.branch1.2",
    "mixed_4a_7x7_3x3": "4.branch1.3",
    "mixed_5a_3x3": "5.conv",
}
DOUBLE_3X3 = ("double_3x3_reduce", "double_3x3_1", "double_3x3_2")
DOUBLE_7X7 = ("reduce", "7x1_1", "1x7_1", "7x1_2", "1x7_2")
BLOCK_A = {
    "1x1": "branch0",
    "3x3_reduce": "branch1.0",
    "3x3": "branch1.1",
    **{part: f"branch2.{i}" for i, part in enumerate(DOUBLE_3X3)},
    "pool_proj": "branch3.1",
}
REDUCTION_A = {
    "3x3": "branch0",
    **{part: f"branch1.{i}" for i, part in enumerate(DOUBLE_3X3)},
}
BLOCK_B = {
    "1x1": "branch0",
    **{f"7x7_{part}": f"branch1.{i}" for i, part in enumerate(("reduce", "1x7", "7x1"))},
    **{f"double_7x7_{part}": f"branch2.{i}" for i, part in enumerate(DOUBLE_7X7)},
    "pool_proj": "branch3.1",
}
REDUCTION_B = {
    "3x3_reduce": "branch0.0",
    "3x3": "branch0.1",
    **{f"7x7_{part}": f"branch1.{i}" for i, part in enumerate(("reduce", "1x7", "7x1", "3x3"))},
}
BLOCK_C = {
    "1x1": "branch0",
    "3x3_reduce": "branch1_0",
    "3x3_1x3": "branch1_1a",
    "3x3_3x1": "branch1_1b",
    "double_3x3_reduce": "branch2_0",
    "double_3x3_3x1_1": "branch2_1",
    "double_3x3_1x3_1": "branch2_2",
    "double_3x3_1x3_2": "branch2_3a",
    "double_3x3_3x1_2": "branch2_3b",
    "pool_proj": "branch3.1",
}
BLOCKS = [(f"inception_a{i}", BLOCK_A) for i in range(1, 5)]
BLOCKS += [("reduction_a", REDUCTION_A)]
BLOCKS += [(f"inception_b{i}", BLOCK_B) for i in range(1, 8)]
BLOCKS += [("reduction_b", REDUCTION_B)]
BLOCKS += [(f"inception_c{i}", BLOCK_C) for i in range(1, 4)]


def inception_v4() -> NameMap:
    modules = units(within("stem", "features", STEM))
    stages = unchanged({"features.3": "stem/mixed_3a", "features.4": "stem/mixed_4a"})
    stages |= unchanged({"features.5": "stem"})
    for position, (name, parts) in enumerate(BLOCKS, 6):
        modules |= units(within(name, f"features.{position}", parts))
        stages[f"features.{position}"] = (name, same)
    modules["linear"] = "last_linear"
    stages |= unchanged({"features": "inception_c3"})
    stages |= unchanged({"global_pool": "global_pool", "head_drop": "global_pool"})
    preprocessing = Preprocessing(299, 341, **HALVES, interpolation="bicubic")
    return NameMap("timm", modules, stages=stages, preprocessing=preprocessing)


MAPS: dict[str, Callable[[], NameMap]] = {"inception_v4": inception_v4}
