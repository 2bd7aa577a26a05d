"""Whose tensor is whose: one-to-one maps from our modules to those of published weight files.

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

from cnn_jax.models import bn_inception as caffe_inception
from cnn_jax.models import googlenet as inception_v1
from cnn_jax.models import resnet as residual
from cnn_jax.models import vgg as columns

Transform = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of an RGB image in [0, 1]: resized, cropped, (x - mean) / std."""

    image_size: int = 224
    resize: int = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
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


INCEPTION_MEAN = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def same(x: jax.Array) -> jax.Array:
    return x


def mean_map(x: jax.Array) -> jax.Array:
    return x.mean((1, 2))


relu = jax.nn.relu


def units(pairs: dict[str, str]) -> dict[str, str]:
    """Our `conv_norm` units and their Sequential of `conv` and `bn`, as a map of modules."""
    out = {}
    for ours, theirs in pairs.items():
        out[ours] = f"{theirs}.conv"
        out[f"{ours}_norm"] = f"{theirs}.bn"
    return out


def within(ours: str, theirs: str, pairs: dict[str, str]) -> dict[str, str]:
    """The pairs of a block's parts, each with the block's name before it."""
    return {f"{ours}/{a}": f"{theirs}.{b}" for a, b in pairs.items()}


def activated(pairs: dict[str, str]) -> dict[str, tuple[str, Transform]]:
    """Stages of units whose last step is a ReLU."""
    return {theirs: (f"{ours}_norm", relu) for ours, theirs in pairs.items()}


def unchanged(pairs: dict[str, str]) -> dict[str, tuple[str, Transform]]:
    """Their stage -> our intermediate result, equal as they stand."""
    return {theirs: (ours, same) for theirs, ours in pairs.items()}


def alexnet() -> NameMap:
    modules = {f"conv{i}": f"features.{n}" for i, n in enumerate((0, 3, 6, 8, 10), 1)}
    modules |= {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
    stages = unchanged({"features.2": "pool1", "features.5": "pool2", "features.12": "pool5"})
    stages |= {"classifier.2": ("fc6", relu), "classifier.5": ("fc7", relu)}
    return NameMap("torchvision", modules, flat={"fc6": (256, 6, 6)}, stages=stages)


def vgg(column: str, batch_norm: bool) -> Callable[[], NameMap]:
    def build() -> NameMap:
        modules, pools, position = {}, {}, 0
        for block, kernels in enumerate(columns.COLUMNS[column], 1):
            for i in range(1, len(kernels) + 1):
                modules[f"conv{block}_{i}"] = f"features.{position}"
                if batch_norm:
                    modules[f"conv{block}_{i}_norm"] = f"features.{position + 1}"
                position += 3 if batch_norm else 2
            pools[f"features.{position}"] = f"pool{block}"
            position += 1
        modules |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
        stages = unchanged(pools)
        stages |= {"classifier.1": ("fc6", relu), "classifier.4": ("fc7", relu)}
        options = {} if batch_norm else {"adaptive": True}
        return NameMap("torchvision", modules, options, {"fc6": (512, 7, 7)}, stages)

    return build


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
    for name in inception_v1.TABLE:
        modules |= units(within(f"inception_{name}", f"inception{name}", branches))
        stages[f"inception{name}"] = (f"inception_{name}", same)
    for ours, theirs in {"auxiliary_4a": "aux1", "auxiliary_4d": "aux2"}.items():
        modules |= units(within(ours, theirs, {"conv": "conv"}))
        modules |= within(ours, theirs, {"fc": "fc1", "linear": "fc2"})
    modules["linear"] = "fc"
    stages |= unchanged({f"maxpool{i}": f"pool{i}" for i in range(1, 5)})
    stages |= unchanged({"avgpool": "global_pool", "dropout": "global_pool"})
    flat = {"auxiliary_4a/fc": (128, 4, 4), "auxiliary_4d/fc": (128, 4, 4)}
    return NameMap("torchvision", modules, {}, flat, stages, transforms_input="1378be20")


def bn_inception() -> NameMap:
    names = {"conv1": "conv1_7x7_s2", "conv2_reduce": "conv2_3x3_reduce", "conv2": "conv2_3x3"}
    halving = ["3x3_reduce", "3x3", "double_3x3_reduce", "double_3x3_1", "double_3x3_2"]
    for name in caffe_inception.TABLE:
        parts = halving if name in ("3c", "4e") else ["1x1", *halving, "pool_proj"]
        names |= {f"inception_{name}/{part}": f"inception_{name}_{part}" for part in parts}
    modules = names | {f"{ours}_norm": f"{theirs}_bn" for ours, theirs in names.items()}
    modules["linear"] = "last_linear"
    stages = unchanged({"pool1_3x3_s2": "pool1", "pool2_3x3_s2": "pool2"})
    stages |= unchanged({"global_pool": "global_pool"})
    preprocessing = Preprocessing(
        mean=(104 / 255, 117 / 255, 128 / 255), std=(1 / 255,) * 3, channels="BGR"
    )
    return NameMap(
        "pretrainedmodels", modules, {"bias": True}, stages=stages, preprocessing=preprocessing
    )


def inception_v3() -> NameMap:
    stem = {
        "conv_1a": "Conv2d_1a_3x3",
        "conv_2a": "Conv2d_2a_3x3",
        "conv_2b": "Conv2d_2b_3x3",
        "conv_3b": "Conv2d_3b_1x1",
        "conv_4a": "Conv2d_4a_3x3",
    }
    double_3x3 = {
        "double_3x3_reduce": "branch3x3dbl_1",
        "double_3x3_1": "branch3x3dbl_2",
        "double_3x3_2": "branch3x3dbl_3",
    }
    outer = {"1x1": "branch1x1", "pool_proj": "branch_pool"}
    mixed_5 = {**outer, **double_3x3, "5x5_reduce": "branch5x5_1", "5x5": "branch5x5_2"}
    mixed_6 = {
        **outer,
        "7x7_reduce": "branch7x7_1",
        "7x7_1x7": "branch7x7_2",
        "7x7_7x1": "branch7x7_3",
        "double_7x7_reduce": "branch7x7dbl_1",
        "double_7x7_7x1_1": "branch7x7dbl_2",
        "double_7x7_1x7_1": "branch7x7dbl_3",
        "double_7x7_7x1_2": "branch7x7dbl_4",
        "double_7x7_1x7_2": "branch7x7dbl_5",
    }
    mixed_7a = {
        "3x3_reduce": "branch3x3_1",
        "3x3": "branch3x3_2",
        "7x7_reduce": "branch7x7x3_1",
        "7x7_1x7": "branch7x7x3_2",
        "7x7_7x1": "branch7x7x3_3",
        "7x7_3x3": "branch7x7x3_4",
    }
    mixed_7 = {
        **outer,
        "3x3_reduce": "branch3x3_1",
        "3x3_1x3": "branch3x3_2a",
        "3x3_3x1": "branch3x3_2b",
        "double_3x3_reduce": "branch3x3dbl_1",
        "double_3x3": "branch3x3dbl_2",
        "double_3x3_1x3": "branch3x3dbl_3a",
        "double_3x3_3x1": "branch3x3dbl_3b",
    }
    blocks = dict.fromkeys(("5b", "5c", "5d"), mixed_5)
    blocks |= {"6a": {"3x3": "branch3x3", **double_3x3}}
    blocks |= dict.fromkeys(("6b", "6c", "6d", "6e"), mixed_6)
    blocks |= {"7a": mixed_7a, "7b": mixed_7, "7c": mixed_7}

    modules = units(stem)
    stages = activated(stem)
    for name, parts in blocks.items():
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
        stages=stages,
        preprocessing=Preprocessing(299, 342),
        transforms_input="0cc3c7bd",
    )


def inception_v4() -> NameMap:
    stem = {
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
    double_3x3 = ("double_3x3_reduce", "double_3x3_1", "double_3x3_2")
    double_7x7 = ("reduce", "7x1_1", "1x7_1", "7x1_2", "1x7_2")
    block_a = {
        "1x1": "branch0",
        "3x3_reduce": "branch1.0",
        "3x3": "branch1.1",
        **{part: f"branch2.{i}" for i, part in enumerate(double_3x3)},
        "pool_proj": "branch3.1",
    }
    reduction_a = {
        "3x3": "branch0",
        **{part: f"branch1.{i}" for i, part in enumerate(double_3x3)},
    }
    block_b = {
        "1x1": "branch0",
        **{f"7x7_{part}": f"branch1.{i}" for i, part in enumerate(("reduce", "1x7", "7x1"))},
        **{f"double_7x7_{part}": f"branch2.{i}" for i, part in enumerate(double_7x7)},
        "pool_proj": "branch3.1",
    }
    reduction_b = {
        "3x3_reduce": "branch0.0",
        "3x3": "branch0.1",
        **{f"7x7_{part}": f"branch1.{i}" for i, part in enumerate(("reduce", "1x7", "7x1", "3x3"))},
    }
    block_c = {
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
    blocks = [(f"inception_a{i}", block_a) for i in range(1, 5)]
    blocks += [("reduction_a", reduction_a)]
    blocks += [(f"inception_b{i}", block_b) for i in range(1, 8)]
    blocks += [("reduction_b", reduction_b)]
    blocks += [(f"inception_c{i}", block_c) for i in range(1, 4)]

    modules = units(within("stem", "features", stem))
    stages = unchanged({"features.3": "stem/mixed_3a", "features.4": "stem/mixed_4a"})
    stages |= unchanged({"features.5": "stem"})
    for position, (name, parts) in enumerate(blocks, 6):
        modules |= units(within(name, f"features.{position}", parts))
        stages[f"features.{position}"] = (name, same)
    modules["linear"] = "last_linear"
    stages |= unchanged({"features": "inception_c3"})
    stages |= unchanged({"global_pool": "global_pool", "head_drop": "global_pool"})
    preprocessing = Preprocessing(299, 341, **INCEPTION_MEAN)
    return NameMap("timm", modules, stages=stages, preprocessing=preprocessing)


def resnet(depth: int, source: str = "torchvision") -> Callable[[], NameMap]:
    def build() -> NameMap:
        counts, bottlenecks = residual.STAGES[depth]
        modules = {"conv1": "conv1", "conv1_norm": "bn1", "fc": "fc"}
        stages = {"bn1": ("conv1_norm", same), "relu": ("conv1_norm", relu)}
        stages |= {"act1": ("conv1_norm", relu)}
        for layer, count in enumerate(counts, 1):
            for i in range(count):
                ours, theirs = f"layer{layer}_{i}", f"layer{layer}.{i}"
                parts = {}
                for j in range(1, 4 if bottlenecks else 3):
                    parts |= {f"conv{j}": f"conv{j}", f"conv{j}_norm": f"bn{j}"}
                if i == 0 and (layer > 1 or bottlenecks):
                    parts |= {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
                if source == "timm":
                    parts |= {"attention/fc1": "se.fc1", "attention/fc2": "se.fc2"}
                modules |= within(ours, theirs, parts)
                stages[theirs] = (ours, same)
            stages[f"layer{layer}"] = (f"layer{layer}_{count - 1}", same)
        last = f"layer4_{counts[-1] - 1}"
        stages |= {"avgpool": (last, mean_map), "global_pool": (last, mean_map)}
        return NameMap(source, modules, stages=stages)

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "alexnet_torchvision": alexnet,
    "vgg11": vgg("A", False),
    "vgg13": vgg("B", False),
    "vgg16": vgg("D", False),
    "vgg19": vgg("E", False),
    "vgg11_bn": vgg("A", True),
    "vgg13_bn": vgg("B", True),
    "vgg16_bn": vgg("D", True),
    "vgg19_bn": vgg("E", True),
    "googlenet_torchvision": googlenet,
    "bn_inception": bn_inception,
    "inception_v3": inception_v3,
    "inception_v4": inception_v4,
    "resnet18": resnet(18),
    "resnet34": resnet(34),
    "resnet50_v1_5": resnet(50),
    "resnet101_v1_5": resnet(101),
    "resnet152_v1_5": resnet(152),
}

# Our tensor's name -> theirs; a norm's are told by its `scale`.
TENSORS = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}


def their_tensor(names: NameMap, ours: str) -> str | None:
    """The source's name of our tensor `module/leaf`, or None where the map has no such module."""
    module, leaf = ours.rsplit("/", 1)
    if module not in names.modules or leaf not in TENSORS:
        return None
    return f"{names.modules[module]}.{TENSORS[leaf]}"


def stage_of(names: NameMap, theirs: str) -> tuple[str, Transform] | None:
    """Our counterpart of their stage `theirs`, if it has one."""
    if theirs in names.stages:
        return names.stages[theirs]
    for ours, module in names.modules.items():
        if module == theirs:
            return ours, same
    return None
