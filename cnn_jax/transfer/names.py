"""What a name map is: how a published weight file names what one of our nets has.

A map names modules; their tensors follow by rule (`kernel` is `weight`, a norm's `scale` is
`weight`, `mean` and `var` are `running_mean` and `running_var`). `stages` says which of our
intermediate results a stage of the source is, so that a parity check can point at the first layer
that differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

Transform = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of an RGB image in [0, 1]: resized, cropped, (x - mean) / std."""

    image_size: int = 224
    resize: int = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    channels: str = "RGB"


@dataclasses.dataclass(frozen=True)
class NameMap:
    """How one source names what one of our nets has."""

    source: str
    modules: dict[str, str]  # our module -> theirs
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the net that fits them
    # Dense layers on a flat map: theirs counts the inputs as C, H, W, ours as H, W, C.
    flat: dict[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)
    # Their stage -> our intermediate result, and what is still to be done to it.
    stages: dict[str, tuple[str, Transform]] = dataclasses.field(default_factory=dict)
    preprocessing: Preprocessing = Preprocessing()
    # The start of the SHA-256 of the published file whose net re-normalises its inputs itself.
    transforms_input: str = ""


def same(x: jax.Array) -> jax.Array:
    return x


def units(pairs: dict[str, str], conv: str = "conv", norm: str = "bn") -> dict[str, str]:
    """Our `conv_norm` units and their pairs of a convolution and a norm, as a map of modules."""
    out = {}
    for ours, theirs in pairs.items():
        out[ours] = f"{theirs}.{conv}"
        out[f"{ours}_norm"] = f"{theirs}.{norm}"
    return out


def within(ours: str, theirs: str, pairs: dict[str, str]) -> dict[str, str]:
    """The pairs of a block's parts, each with the block's name before it."""
    return {f"{ours}/{a}": f"{theirs}.{b}" for a, b in pairs.items()}


def activated(
    pairs: dict[str, str], activation: Transform = jax.nn.relu
) -> dict[str, tuple[str, Transform]]:
    """Stages of `conv_norm` units, whose last step is a non-linearity."""
    return {theirs: (f"{ours}_norm", activation) for ours, theirs in pairs.items()}


def unchanged(pairs: dict[str, str]) -> dict[str, tuple[str, Transform]]:
    """Their stage -> our intermediate result, equal as they stand."""
    return {theirs: (ours, same) for theirs, ours in pairs.items()}


# Our tensor's name -> theirs; a norm's are told by its `scale`.
TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}


def source_tensor_name(names: NameMap, ours: str) -> str | None:
    """The source's name of our tensor `module/leaf`, or None where the map has no such module."""
    module, leaf = ours.rsplit("/", 1)
    if module not in names.modules or leaf not in TENSORS:
        return None
    return f"{names.modules[module]}.{TENSORS[leaf]}"


def stage_counterpart(names: NameMap, theirs: str) -> tuple[str, Transform] | None:
    """Our counterpart of their stage `theirs`, if it has one."""
    if theirs in names.stages:
        return names.stages[theirs]
    for ours, module in names.modules.items():
        if module == theirs:
            return ours, same
    return None
