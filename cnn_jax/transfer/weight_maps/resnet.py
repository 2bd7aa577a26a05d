"""ResNet of torchvision, its wide and grouped kin, and timm's SE-ResNet."""

from __future__ import annotations

from collections.abc import Callable

import jax

from cnn_jax.models.resnet import STAGES
from cnn_jax.transfer.weight_maps.name_map import NameMap, Preprocessing, same, unchanged, within


def resnet(depth: int, squeeze: bool = False) -> Callable[[], NameMap]:
    """torchvision's ResNet, and timm's with squeeze-and-excitation, which has the same names."""

    def build() -> NameMap:
        counts, bottlenecks = STAGES[depth]
        modules = {"conv1": "conv1", "conv1_norm": "bn1", "fc": "fc"}
        stages = dict.fromkeys(("relu", "act1"), ("conv1_norm", jax.nn.relu))
        stages |= unchanged({"maxpool": "pool1"})
        stages |= unchanged({"avgpool": "global_pool", "global_pool": "global_pool"})
        for layer, count in enumerate(counts, 1):
            for i in range(count):
                module, torch_name = f"layer{layer}_{i}", f"layer{layer}.{i}"
                parts = {}
                for j in range(1, 4 if bottlenecks else 3):
                    parts |= {f"conv{j}": f"conv{j}", f"conv{j}_norm": f"bn{j}"}
                if i == 0 and (layer > 1 or bottlenecks):
                    parts |= {"shortcut": "downsample.0", "shortcut_norm": "downsample.1"}
                if squeeze:
                    parts |= {"attention/fc1": "se.fc1", "attention/fc2": "se.fc2"}
                modules |= within(module, torch_name, parts)
                stages[torch_name] = (module, same)
            stages[f"layer{layer}"] = (f"layer{layer}_{count - 1}", same)
        library, interpolation = ("timm", "bicubic") if squeeze else ("torchvision", "bilinear")
        preprocessing = Preprocessing(interpolation=interpolation)
        options = {"pool1": "padded"}
        if squeeze:  # timm's strides where torchvision's nets do, not where the paper's does
            options["stride_in"] = "3x3"
        return NameMap(
            library, modules, options=options, stages=stages, preprocessing=preprocessing
        )

    return build


MAPS: dict[str, Callable[[], NameMap]] = {
    "resnet18": resnet(18),
    "resnet34": resnet(34),
    "resnet50_v1_5": resnet(50),
    "resnet101_v1_5": resnet(101),
    "resnet152_v1_5": resnet(152),
    "wide_resnet50_2": resnet(50),
    "resnext50_32x4d": resnet(50),
    "seresnet50": resnet(50, squeeze=True),
}
