"""The same nets in PyTorch: those of the papers written here, others from torchvision or timm."""

# pyright: reportMissingImports=false
from __future__ import annotations

import functools

import torch
from torch import nn

from benchmarks.speed.cases import Case

# 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection (Szegedy et al. 2015, table 1)
INCEPTIONS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}

IN_TIMM = {  # our name -> timm's
    "inception_v4": "inception_v4",
    "mobilenet_v1": "mobilenetv1_100",
    "resnet50_v2": "resnetv2_50",
    "resnet101_v2": "resnetv2_101",
    "resnet152_v2": "resnetv2_152",
    "seresnet50": "seresnet50",
}


def build(case: Case) -> nn.Module:
    """The net of a case; where it trains with heads, it returns a tuple of all logits."""
    if case.model == "lenet5":
        return lenet5(case)
    if case.model == "alexnet":
        return AlexNet(case.classes)
    if case.model == "googlenet":
        return GoogLeNet(case.classes, case.size)
    if case.model in IN_TIMM:
        import timm

        return timm.create_model(IN_TIMM[case.model], num_classes=case.classes)
    from torchvision import models

    name = case.model.removesuffix("_v1_5").removesuffix("_torchvision")
    heads = {"aux_logits": True, "init_weights": False}
    options = heads if name in ("googlenet", "inception_v3") else {}
    net = getattr(models, name)(num_classes=case.classes, **options)
    if case.options.get("stem") == "3x3":
        net.conv1 = nn.Conv2d(case.channels, 64, 3, padding=1, bias=False)
        net.maxpool = nn.Identity()
    return net


def lenet5(case: Case) -> nn.Sequential:
    """For 28 pixels, padded to 32."""
    act = {"tanh": nn.Tanh, "relu": nn.ReLU}[case.options.get("activation", "tanh")]
    pool = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[case.options.get("pooling", "avg")]
    features = (nn.Conv2d(1, 6, 5, padding=2), act(), pool(2), nn.Conv2d(6, 16, 5), act(), pool(2))
    dense = (nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, case.classes))
    return nn.Sequential(*features, nn.Flatten(), *dense)


def response_norm() -> nn.LocalResponseNorm:
    """Krizhevsky et al. 2012, sec. 3.3: torch divides alpha by the number of channels summed."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


class TowerNorm(nn.Module):
    """LRN over the maps of each of two towers apart."""

    def __init__(self):
        super().__init__()
        self.norm = response_norm()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        towers = x.unflatten(1, (2, -1)).flatten(0, 1)
        return self.norm(towers).unflatten(0, (-1, 2)).flatten(1, 2)


class AlexNet(nn.Sequential):
    """The net of 2012 for 227 pixels: two towers, LRN; 60,965,224 parameters for 1,000 classes."""

    def __init__(self, classes: int):
        pool, relu = functools.partial(nn.MaxPool2d, 3, 2), nn.ReLU
        super().__init__(
            *(nn.Conv2d(3, 96, 11, 4), relu(), TowerNorm(), pool()),
            *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), TowerNorm(), pool()),
            *(nn.Conv2d(256, 384, 3, padding=1), relu()),
            *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()),
            *(nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), pool(), nn.Flatten()),
            *(nn.Linear(9216, 4096), relu(), nn.Dropout(0.5)),
            *(nn.Linear(4096, 4096), relu(), nn.Dropout(0.5), nn.Linear(4096, classes)),
        )


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.ReLU())


class Inception(nn.Module):
    def __init__(self, inputs: int, one: int, three_in: int, three: int, five_in: int, *rest: int):
        super().__init__()
        five, projection = rest
        pool = nn.MaxPool2d(3, 1, 1)
        self.branches = nn.ModuleList(
            [
                unit(inputs, one, 1),
                nn.Sequential(unit(inputs, three_in, 1), unit(three_in, three, 3)),
                nn.Sequential(unit(inputs, five_in, 1), unit(five_in, five, 5)),
                nn.Sequential(pool, unit(inputs, projection, 1)),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class GoogLeNet(nn.Module):
    """The paper's net: 5x5 convolutions, LRN, two heads; 13,378,280 parameters with them."""

    def __init__(self, classes: int, size: int):
        super().__init__()
        inception = {name: Inception(*widths) for name, widths in INCEPTIONS.items()}
        pool = functools.partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
        stem = (unit(3, 64, 7, 2), pool(), response_norm(), unit(64, 64, 1), unit(64, 192, 3))
        third = (inception["3a"], inception["3b"], pool(), inception["4a"])
        self.to_4a = nn.Sequential(*stem, response_norm(), pool(), *third)
        self.to_4d = nn.Sequential(*(inception[name] for name in ("4b", "4c", "4d")))
        last = (inception["4e"], pool(), inception["5a"], inception["5b"])
        mean = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.4))
        self.to_end = nn.Sequential(*last, *mean, nn.Linear(1024, classes))
        self.head_4a, self.head_4d = head(512, size, classes), head(528, size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        early = self.to_4a(x)
        middle = self.to_4d(early)
        logits = self.to_end(middle)
        return (logits, self.head_4a(early), self.head_4d(middle)) if self.training else logits


def head(inputs: int, size: int, classes: int) -> nn.Sequential:
    """A small classifier on a map of a sixteenth of the image's `size`."""
    side = -(-size // 16)
    window = min(5, side)
    units = 128 * ((side - window) // 3 + 1) ** 2
    return nn.Sequential(
        *(nn.AvgPool2d(window, 3), unit(inputs, 128, 1), nn.Flatten()),
        *(nn.Linear(units, 1024), nn.ReLU(), nn.Dropout(0.7), nn.Linear(1024, classes)),
    )
