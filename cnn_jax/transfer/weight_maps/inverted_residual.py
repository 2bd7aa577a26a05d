"""The block that MobileNet v2, v3 and EfficientNet share, of torchvision and of timm."""

from __future__ import annotations

from collections.abc import Iterable

from cnn_jax.transfer.weight_maps.name_map import (
    NameMap,
    Preprocessing,
    Transform,
    same,
    units,
    within,
)


def inverted_residual(
    module: str, torch_name: str, expands: bool, squeezes: bool, bare_projection: bool = False
) -> dict[str, str]:
    """A block of torchvision's MobileNets and EfficientNets: a Sequential of what it has.

    In MobileNet v2 the projection's convolution and norm stand in that Sequential themselves.
    """
    parts = ["expand"] * expands + ["depthwise"] + ["attention"] * squeezes + ["project"]
    out = {}
    for i, part in enumerate(parts):
        if part == "attention":
            out |= within(f"{module}/attention", f"{torch_name}.{i}", {"fc1": "fc1", "fc2": "fc2"})
        elif part == "project" and bare_projection:
            out |= {
                f"{module}/project": f"{torch_name}.{i}",
                f"{module}/project_norm": f"{torch_name}.{i + 1}",
            }
        else:
            out |= units({f"{module}/{part}": f"{torch_name}.{i}"}, "0", "1")
    return out


def places_in_timm(counts: Iterable[int]) -> list[str]:
    """timm's names of the blocks, from the number of blocks in each of its stages."""
    return [f"blocks.{stage}.{i}" for stage, count in enumerate(counts) for i in range(count)]


def inverted_residual_in_timm(
    module: str, torch_name: str, expands: bool, squeezes: bool
) -> dict[str, str]:
    """A block of timm's, whose norms are counted and whose projection behind others is `pwl`."""
    pairs = [("expand", "conv_pw")] * expands + [("depthwise", "conv_dw")]
    pairs.append(("project", "conv_pwl" if expands else "conv_pw"))
    out = {}
    for i, (part, name) in enumerate(pairs, 1):
        out |= within(module, torch_name, {part: name, f"{part}_norm": f"bn{i}"})
    if squeezes:
        gate = {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}
        out |= within(f"{module}/attention", torch_name, gate)
    return out


def net_in_timm(
    modules: dict[str, str],
    blocks: dict[str, str],
    first: tuple[str, Transform],
    options: dict[str, float] | None = None,
) -> NameMap:
    """timm's map of a net: its modules, its blocks' names, its first stage."""
    stages = {"bn1": first, "global_pool": ("global_pool", same)}
    for module, torch_name in blocks.items():
        stage = torch_name.rpartition(".")[0]
        stages[torch_name] = stages[stage] = stages["blocks"] = (module, same)
    preprocessing = Preprocessing(interpolation="bicubic")
    return NameMap("timm", modules, options or {}, stages=stages, preprocessing=preprocessing)
