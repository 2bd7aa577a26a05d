"""Inception v3 of torchvision."""

from __future__ import annotations

from collections.abc import Callable

from cnn_jax.transfer.weight_maps.name_map import (
    NameMap,
    Preprocessing,
    activated,
    same,
    unchanged,
    units,
    within,
)

STEM = {
    "conv_1a": "Conv2d_1a_3x3",
    "conv_2a": "Conv2d_2a_3x3",
    "conv_2b": "Conv2d_2b_3x3",
    "conv_3b": "Conv2d_3b_1x1",
    "conv_4a": "Conv2d_4a_3x3",
}
DOUBLE_3X3 = {
    "double_3x3_reduce": "branch3x3dbl_1",
    "double_3x3_1": "branch3x3dbl_2",
    "double_3x3_2": "branch3x3dbl_3",
}
OUTER = {"1x1": "branch1x1", "pool_proj": "branch_pool"}
MIXED_5 = {**OUTER, **DOUBLE_3X3, "5x5_reduce": "branch5x5_1", "5x5": "branch5x5_2"}
MIXED_6 = {
    **OUTER,
    "7x7_reduce": "branch7x7_1",
    "7x7_1x7": "branch7x7_2",
    "7x7_7x1": "branch7x7_3",
    "double_7x7_reduce": "branch7x7dbl_1",
    "double_7x7_7x1_1": "branch7x7dbl_2",
    "double_7x7_1x7_1": "branch7x7dbl_3",
    "double_7x7_7x1_2": "branch7x7dbl_4",
    "double_7x7_1x7_2": "branch7x7dbl_5",
}
MIXED_7A = {
    "3x3_reduce": "branch3x3_1",
    "3x3": "branch3x3_2",
    "7x7_reduce": "branch7x7x3_1",
    "7x7_1x7": "branch7x7x3_2",
    "7x7_7x1": "branch7x7x3_3",
    "7x7_3x3": "branch7x7x3_4",
}
MIXED_7 = {
    **OUTER,
    "3x3_reduce": "branch3x3_1",
    "3x3_1x3": "branch3x3_2a",
    "3x3_3x1": "branch3x3_2b",
    "double_3x3_reduce": "branch3x3dbl_1",
    "double_3x3": "branch3x3dbl_2",
    "double_3x3_1x3": "branch3x3dbl_3a",
    "double_3x3_3x1": "branch3x3dbl_3b",
}
BLOCKS = dict.fromkeys(("5b", "5c", "5d"), MIXED_5)
BLOCKS |= {"6a": {"3x3": "branch3x3", **DOUBLE_3X3}}
BLOCKS |= dict.fromkeys(("6b", "6c", "6d", "6e"), MIXED_6)
BLOCKS |= {"7a": MIXED_7A, "7b": MIXED_7, "7c": MIXED_7}


def inception_v3() -> NameMap:
    modules = units(STEM)
    stages = activated(STEM)
    for name, parts in BLOCKS.items():
        modules |= units(within(f"mixed_{name}", f"Mixed_{name}", parts))
        stages[f"Mixed_{name}"] = (f"mixed_{name}", same)
    head = {"conv_1x1": "conv0", "conv_5x5": "conv1"}
    modules |= units(within("auxiliary_6e", "AuxLogits", head))
    modules |= {"auxiliary_6e/linear": "AuxLogits.fc", "linear": "fc"}
    stages |= unchanged({"maxpool1": "pool1", "maxpool2": "pool2"})
    stages |= unchanged({"avgpool": "global_pool", "dropout": "global_pool"})
    return NameMap(
        "torchvision",
        modules,
        options={"norm_scale": True, "count_padding": True},
        stages=stages,
        preprocessing=Preprocessing(299, 342),
        transforms_input="0cc3c7bd",
    )


MAPS: dict[str, Callable[[], NameMap]] = {"inception_v3": inception_v3}
