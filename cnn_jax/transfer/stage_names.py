"""What torchvision, timm and the papers call the stages of our nets: `layer4`, `Mixed_7c`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from cnn_jax.transfer.freezing import stage_name
from cnn_jax.transfer.weight_maps import MAPS
from cnn_jax.transfer.weight_maps.name_map import same

# Table 1 of He et al. 2016 (ResNet) has conv2_x to conv5_x for what the libraries call layers.
LAYERS_OF_RESNET = {f"conv{i + 1}_x": f"layer{i}" for i in range(1, 5)}


def published_points(net: str) -> tuple[dict[str, str], dict[str, str]]:
    """Their name -> our point: those that are equal, and those a non-linearity lies behind.

    Of the registered `net`; nothing where no published weights of it are known.
    """
    equal: dict[str, str] = {}
    before: dict[str, str] = {}
    for form in MAPS[net]().forms if net in MAPS else ():
        for name, (point, transform) in form.stages.items():
            (equal if transform is same else before).setdefault(name, point)
        for point, name in form.modules.items():
            if name not in form.stages:
                equal.setdefault(name, point)
    return equal, before


def find_point(name: str, points: Collection[str], published: Mapping[str, str]) -> str | None:
    """The one of `points` that is called `name` elsewhere, or is spelt a little otherwise.

    Letter case, and the marks between a letter and a digit, do not count: `inception5b` is
    `inception_5b`, `layer4.1` is `layer4_1`.
    """
    name = name.removesuffix("[-1]")  # as a list of blocks is asked for its last
    if "-" in name:
        return None
    if published.get(name) in points:
        return published[name]
    stages = {stage_name(point): point for point in points if "/" not in point}  # the last of each
    if (layer := LAYERS_OF_RESNET.get(name)) in stages and "layer4" in stages:
        return stages[layer]
    known = {**{theirs: ours for theirs, ours in published.items() if ours in points}, **stages}
    known |= {point: point for point in points}
    found = {ours for theirs, ours in known.items() if loose(theirs) == loose(name)}
    return found.pop() if len(found) == 1 else None


def loose(name: str) -> str:
    """A spelling that keeps only the marks between digits."""
    marked = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return re.sub(r"(?<=[a-z])_|_(?=[a-z])", "", marked)


def hint(net: str) -> str:
    """For an error's choices: whose names serve too."""
    libraries = [form.library for form in MAPS[net]().forms] if net in MAPS else []
    return f" (the names of {' and '.join(libraries)} serve too)" if libraries else ""
