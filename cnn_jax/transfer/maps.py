"""The name maps: whose tensor is whose in the weight files of torchvision, timm and others."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax

from cnn_jax.models import bn_inception as caffe_inception
from cnn_jax.models import convnext as next_net
from cnn_jax.models import efficientnet as efficient
from cnn_jax.models import googlenet as inception_v1
from cnn_jax.models import mobilenet_v2 as mobile_v2
from cnn_jax.models import mobilenet_v3 as mobile_v3
from cnn_jax.models import resnet as residual
from cnn_jax.models import vgg as columns
from cnn_jax.transfer.names import NameMap, Preprocessing, activated, same, unchanged, units, within

HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
relu = jax.nn.relu


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
    preprocessing = Preprocessing(299, 341, **HALVES, interpolation="bicubic")
    return NameMap("timm", modules, stages=stages, preprocessing=preprocessing)


def resnet(depth: int, squeeze: bool = False) -> Callable[[], NameMap]:
    """torchvision's ResNet, and timm's with squeeze-and-excitation, which has the same names."""

    def build() -> NameMap:
        counts, bottlenecks = residual.STAGES[depth]
        modules = {"conv1": "conv1", "conv1_norm": "bn1", "fc": "fc"}
        stages = dict.fromkeys(("relu", "act1"), ("conv1_norm", relu))
        stages |= unchanged({"maxpool": "pool1"})
        stages |= unchanged({"avgpool": "global_pool", "global_pool": "global_pool"})
        for layer, count in enumerate(counts, 1):
            for i in range(count):
                ours, theirs = f"layer{layer}_{i}", f"layer{layer}.{i}"
                parts = {}
                for j in range(1, 4 if bottlenecks else 3):
                    parts |= {f"conv{j}": f"conv{j}", f"conv{j}_norm": f"bn{j}"}
                if i == 0 and (layer > 1 or bottlenecks):
                    parts |= {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
                if squeeze:
                    parts |= {"attention/fc1": "se.fc1", "attention/fc2": "se.fc2"}
                modules |= within(ours, theirs, parts)
                stages[theirs] = (ours, same)
            stages[f"layer{layer}"] = (f"layer{layer}_{count - 1}", same)
        source, interpolation = ("timm", "bicubic") if squeeze else ("torchvision", "bilinear")
        preprocessing = Preprocessing(interpolation=interpolation)
        return NameMap(source, modules, stages=stages, preprocessing=preprocessing)

    return build


def resnet_v2(depth: int) -> Callable[[], NameMap]:
    def build() -> NameMap:
        modules = {"conv1": "stem.conv", "norm": "norm", "fc": "head.fc"}
        stages = unchanged({"stem": "pool1", "stem.pool": "pool1"})
        stages |= {"norm": ("norm", relu), "head.global_pool": ("global_pool", same)}
        layers = enumerate(residual.STAGES[depth][0], 1)
        for layer, count in layers:
            for i in range(count):
                ours, theirs = f"layer{layer}_{i}", f"stages.{layer - 1}.blocks.{i}"
                parts = {f"{part}{j}": f"{part}{j}" for part in ("norm", "conv") for j in (1, 2, 3)}
                parts |= {"shortcut": "downsample.conv"} if i == 0 else {}
                modules |= within(ours, theirs, parts)
                stages[theirs] = (ours, same)
            stages[f"stages.{layer - 1}"] = (f"layer{layer}_{count - 1}", same)
            stages["stages"] = stages[f"stages.{layer - 1}"]
        preprocessing = Preprocessing(224, 235, **HALVES, interpolation="bicubic")
        return NameMap("timm", modules, stages=stages, preprocessing=preprocessing)

    return build


def inverted_residual(
    ours: str, theirs: str, expands: bool, squeezes: bool, bare_projection: bool = False
) -> dict[str, str]:
    """A block of torchvision's MobileNets and EfficientNets: a Sequential of what it has.

    In MobileNet v2 the projection's convolution and norm stand in that Sequential themselves.
    """
    parts = ["expand"] * expands + ["depthwise"] + ["attention"] * squeezes + ["project"]
    out = {}
    for i, part in enumerate(parts):
        if part == "attention":
            out |= within(f"{ours}/attention", f"{theirs}.{i}", {"fc1": "fc1", "fc2": "fc2"})
        elif part == "project" and bare_projection:
            out |= {f"{ours}/project": f"{theirs}.{i}", f"{ours}/project_norm": f"{theirs}.{i + 1}"}
        else:
            out |= units({f"{ours}/{part}": f"{theirs}.{i}"}, "0", "1")
    return out


def mobilenet_v1() -> NameMap:
    """timm's, which is trained with ReLU6."""
    modules = {"conv1": "conv_stem", "conv1_norm": "bn1", "fc": "classifier"}
    places = [f"blocks.{i}.{j}" for i, n in enumerate((1, 2, 2, 6, 2)) for j in range(n)]
    parts = {
        "depthwise": "conv_dw",
        "depthwise_norm": "bn1",
        "pointwise": "conv_pw",
        "pointwise_norm": "bn2",
    }
    for i, theirs in enumerate(places, 1):
        modules |= within(f"block{i}", theirs, parts)
    stages = {"bn1": ("conv1_norm", jax.nn.relu6)}
    stages |= unchanged({theirs: f"block{i}" for i, theirs in enumerate(places, 1)})
    stages |= unchanged({"conv_head": "block13", "global_pool": "global_pool"})
    preprocessing = Preprocessing(interpolation="bicubic", resize=256, **HALVES)
    return NameMap(
        "timm", modules, {"activation": "relu6"}, stages=stages, preprocessing=preprocessing
    )


def mobilenet_v2() -> NameMap:
    ends = {"conv_first": "features.0", "conv_last": "features.18"}
    modules = units(ends, "0", "1") | {"fc": "classifier.1"}
    stages = activated(ends, jax.nn.relu6)
    stages["features"] = stages["features.18"]
    expansions = [row[0] for row in mobile_v2.BOTTLENECKS for _ in range(row[2])]
    for i, expansion in enumerate(expansions, 1):
        ours, theirs = f"bottleneck{i}", f"features.{i}"
        modules |= inverted_residual(ours, f"{theirs}.conv", expansion != 1, False, True)
        stages[theirs] = (ours, same)
    return NameMap("torchvision", modules, stages=stages)


def mobilenet_v3(table: tuple[tuple, ...]) -> Callable[[], NameMap]:
    def build() -> NameMap:
        last = f"features.{len(table) + 1}"
        ends = {"conv_first": "features.0", "conv_last": last}
        modules = units(ends, "0", "1") | {"fc1": "classifier.0", "fc2": "classifier.3"}
        stages = activated(ends, jax.nn.hard_swish) | unchanged({"avgpool": "global_pool"})
        stages["features"] = stages[last]
        channels = 16
        for i, (_, expanded, features, squeezes, _, _) in enumerate(table, 1):
            ours, theirs = f"bneck{i}", f"features.{i}"
            expands = expanded != channels
            modules |= inverted_residual(ours, f"{theirs}.block", expands, squeezes)
            stages[theirs] = (ours, same)
            channels = features
        return NameMap("torchvision", modules, stages=stages)

    return build


def efficientnet(variant: str, image_size: int, resize: int) -> Callable[[], NameMap]:
    def build() -> NameMap:
        depth = efficient.VARIANTS[variant][1]
        ends = {"stage1": "features.0", "stage9": "features.8"}
        modules = units(ends, "0", "1") | {"fc": "classifier.1"}
        stages = activated(ends, jax.nn.silu) | unchanged({"avgpool": "global_pool"})
        stages["features"] = stages["features.8"]
        for level, (expansion, *_, count) in enumerate(efficient.STAGES, 1):
            for i in range(math.ceil(depth * count)):
                ours, theirs = f"stage{level + 1}_{i}", f"features.{level}.{i}"
                modules |= inverted_residual(ours, f"{theirs}.block", expansion != 1, True)
                stages[theirs] = stages[f"features.{level}"] = (ours, same)
        preprocessing = Preprocessing(image_size, resize, interpolation="bicubic")
        return NameMap("torchvision", modules, stages=stages, preprocessing=preprocessing)

    return build


def convnext_tiny() -> NameMap:
    modules = {"stem": "features.0.0", "stem_norm": "features.0.1"}
    modules |= {"norm": "classifier.0", "fc": "classifier.2"}
    stages = unchanged({"features.0": "stem_norm", "avgpool": "global_pool"})
    block = {"depthwise": "0", "norm": "2", "expand": "3", "project": "5"}
    for level, count in enumerate(next_net.DEPTHS, 1):
        position = 2 * level - 1
        if level > 1:
            between = f"features.{position - 1}"
            modules |= {f"downsample{level}_norm": f"{between}.0"}
            modules |= {f"downsample{level}": f"{between}.1"}
            stages[between] = (f"downsample{level}", same)
        for i in range(count):
            ours, theirs = f"stage{level}_{i}", f"features.{position}.{i}"
            modules[ours] = theirs  # for its layer scale
            modules |= within(ours, f"{theirs}.block", block)
            stages[theirs] = stages[f"features.{position}"] = stages["features"] = (ours, same)
    return NameMap("torchvision", modules, stages=stages, preprocessing=Preprocessing(resize=236))


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
    "resnet50_v2": resnet_v2(50),
    "resnet101_v2": resnet_v2(101),
    "resnet152_v2": resnet_v2(152),
    "wide_resnet50_2": resnet(50),
    "resnext50_32x4d": resnet(50),
    "seresnet50": resnet(50, squeeze=True),
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3(mobile_v3.SMALL),
    "mobilenet_v3_large": mobilenet_v3(mobile_v3.LARGE),
    "efficientnet_b0": efficientnet("b0", 224, 256),
    "efficientnet_b1": efficientnet("b1", 240, 256),
    "efficientnet_b2": efficientnet("b2", 288, 288),
    "efficientnet_b3": efficientnet("b3", 300, 320),
    "efficientnet_b4": efficientnet("b4", 380, 384),
    "efficientnet_b5": efficientnet("b5", 456, 456),
    "efficientnet_b6": efficientnet("b6", 528, 528),
    "efficientnet_b7": efficientnet("b7", 600, 600),
    "convnext_tiny": convnext_tiny,
}
