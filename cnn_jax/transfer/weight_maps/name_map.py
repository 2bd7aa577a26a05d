"""What a name map is: how a published weight file names what one of our nets has.

A map names modules; their tensors follow by rule (`kernel` is `weight`, a norm's `scale` is
`weight`, `mean` and `var` are `running_mean` and `running_var`). `stages` says which of our
intermediate results a stage of the source is, so that a parity check can point at the first layer
that differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import jax

Transform = Callable[[jax.Array], jax.Array]
HALVES: dict[str, Any] = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of an RGB image in [0, 1]: resized, cropped, (x - mean) / std."""

    image_size: int = 224
    resize: int = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    channels: str = "RGB"


# Our tensor's name -> torch's; a norm's are told by its `scale`.
TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
    "layer_scale": "layer_scale",
}


@dataclasses.dataclass(frozen=True)
class NameMap:
    """How one source names what one of our nets has."""

    library: str
    modules: dict[str, str]  # our module -> torch's
    options: dict[str, Any] = dataclasses.field(default_factory=dict)  # of the net that fits them
    # Dense layers on a flattened map: its sides as torch counts them, C, H, W; ours is H, W, C.
    flattened: dict[str, tuple[int, int, int]] = dataclasses.field(default_factory=dict)
    # Stage of torch's net -> our intermediate result, and what is still to be done to it.
    stages: dict[str, tuple[str, Transform]] = dataclasses.field(default_factory=dict)
    preprocessing: Preprocessing = Preprocessing()
    # Modules as another source of the same tensors calls them -> as this one does.
    aliases: dict[str, str] = dataclasses.field(default_factory=dict)
    tensors: dict[str, str] = dataclasses.field(default_factory=lambda: TENSORS)
    # The same net where timm has other names for it, or writes it with other options.
    timm: NameMap | None = None
    # The start of the SHA-256 of the published file whose net re-normalises its inputs itself.
    transforms_input: str = ""

    @property
    def forms(self) -> tuple[NameMap, ...]:
        """Every library's, this one first."""
        return (self,) if self.timm is None else (self, self.timm)


def same(x: jax.Array) -> jax.Array:
    return x


def units(pairs: dict[str, str], conv: str = "conv", norm: str = "bn") -> dict[str, str]:
    """Our `conv_norm` units and torch's pairs of convolution and norm, as a map of modules."""
    out = {}
    for module, torch_name in pairs.items():
        out[module] = f"{torch_name}.{conv}"
        out[f"{module}_norm"] = f"{torch_name}.{norm}"
    return out


def within(module: str, torch_name: str, pairs: dict[str, str]) -> dict[str, str]:
    """The pairs of a block's parts, each with the block's name before it."""
    return {f"{module}/{a}": f"{torch_name}.{b}" for a, b in pairs.items()}


def activated(
    pairs: dict[str, str], activation: Transform = jax.nn.relu
) -> dict[str, tuple[str, Transform]]:
    """Stages of `conv_norm` units, whose last step is a non-linearity."""
    return {torch_name: (f"{module}_norm", activation) for module, torch_name in pairs.items()}


def unchanged(pairs: dict[str, str]) -> dict[str, tuple[str, Transform]]:
    """Stage of torch's net -> our intermediate result, equal as they stand."""
    return {torch_name: (module, same) for torch_name, module in pairs.items()}


def form_of(names: NameMap, tensors: Collection[str]) -> NameMap:
    """That library's map which names most of a file's tensors, by their names without a prefix."""
    modules = {name.rpartition(".")[0] for name in tensors}
    return max(names.forms, key=lambda form: len(modules & {*form.modules.values()}))


def form_in_timm(names: NameMap) -> NameMap:
    """The map of timm's files; the one map of a net that the libraries name alike."""
    return names.timm or names


def torch_tensor_name(names: NameMap, tensor: str) -> str | None:
    """torch's name of our tensor `module/leaf`, or None where the map has no such module."""
    module, leaf = tensor.rsplit("/", 1)
    if module not in names.modules or leaf not in names.tensors:
        return None
    return f"{names.modules[module]}.{names.tensors[leaf]}"


def stage_counterpart(names: NameMap, stage: str) -> tuple[str, Transform] | None:
    """Our counterpart of a stage or module of torch's net, if it has one."""
    if stage in names.stages:
        return names.stages[stage]
    for module, torch_name in names.modules.items():
        if torch_name == stage:
            return module, same
    return None
