"""MobileNet v3 of torchvision and timm, small and large."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax

from cnn_jax.models.mobilenet_v3 import LARGE, SMALL
from cnn_jax.transfer.weight_maps.inverted_residual import (
    inverted_residual,
    inverted_residual_in_timm,
    net_in_timm,
    places_in_timm,
)
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
        return NameMap("torchvision", modules, stages=stages, timm=mobilenet_v3_in_timm(table))

    return build


def mobilenet_v3_in_timm(table: tuple[tuple, ...]) -> NameMap:
    """Its BatchNorm has epsilon 1e-5, the paper's authors and torchvision 1e-3."""
    widths = [row[2] for row in table]
    counts = [len([*group]) for _, group in itertools.groupby(widths)]
    last = f"blocks.{len(counts)}.0"
    modules = {"conv_first": "conv_stem", "conv_first_norm": "bn1"}
    modules |= {"conv_last": f"{last}.conv", "conv_last_norm": f"{last}.bn1"}
    modules |= {"fc1": "conv_head", "fc2": "classifier"}
    blocks = {f"bneck{i}": place for i, place in enumerate(places_in_timm(counts), 1)}
    inputs = [16, *widths]
    for (module, place), row, channels in zip(blocks.items(), table, inputs, strict=False):
        modules |= inverted_residual_in_timm(module, place, row[1] != channels, row[3])
    first = ("conv_first_norm", jax.nn.hard_swish)
    names = net_in_timm(modules, blocks, first, {"epsilon": 1e-5})
    names.stages["blocks"] = ("conv_last_norm", jax.nn.hard_swish)
    return names


MAPS: dict[str, Callable[[], NameMap]] = {
    "mobilenet_v3_small": mobilenet_v3(SMALL),
    "mobilenet_v3_large": mobilenet_v3(LARGE),
}
