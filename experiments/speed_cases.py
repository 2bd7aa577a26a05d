"""What `experiments.speed` trains, and how fast it must be beside PyTorch. Plain data: workers of
any framework read it.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """A net, its images and the batch.

    `goal` is the speed against PyTorch's best, and `rate` one in images a second; 0: none.
    """

    name: str
    model: str
    size: int
    batch: int
    goal: float = 0.0
    channels: int = 3
    classes: int = 10
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    dtype: str = "float32"
    rate: float = 0.0

    @property
    def label(self) -> str:
        return f"{self.name}, {self.size} px, batch {self.batch}"


RELU_MAX = {"activation": "relu", "pooling": "max"}

# A laptop's processor: goals as images a CPU second, and by the wall.
ON_CPU = (
    Case("lenet5", "lenet5", 28, 256, 1.0, 1),
    Case("lenet5_relu_max", "lenet5", 28, 256, 1.0, 1, options=RELU_MAX),
    Case("resnet18_32", "resnet18", 32, 64, 1.0, options={"stem": "3x3"}),
    Case("resnet18", "resnet18", 96, 32, 1.0),
    Case("resnet50", "resnet50_v1_5", 224, 8, 1.0, classes=1000),
    Case("googlenet_bn", "googlenet_torchvision", 96, 32, 1.0),
    Case("googlenet", "googlenet", 224, 8, 1.3, classes=1000),
    Case("alexnet", "alexnet", 227, 16, 1.3, classes=1000),
    Case("mobilenet_v2", "mobilenet_v2", 96, 32, 0.8),
    Case("efficientnet_b0", "efficientnet_b0", 96, 32, 0.8),
    Case("resnext50", "resnext50_32x4d", 96, 16, 0.8),
    Case("vgg16", "vgg16", 224, 4, classes=1000),
)  # fmt: skip

# One accelerator: mixed precision. 6,000 images/s is half of what an H200's memory traffic allows.
HALF = "bfloat16"
ON_GPU = (
    Case("resnet50", "resnet50_v1_5", 224, 256, 1.2, classes=1000, dtype=HALF, rate=6000),
    Case("googlenet_bn", "googlenet_torchvision", 224, 256, 1.2, classes=1000, dtype=HALF),
    Case("vgg16", "vgg16", 224, 128, 1.2, classes=1000, dtype=HALF),
)

INFERENCE_GOAL = 1.0
INFERENCE_BATCHES = (1, 32)
LOOP_GOAL = 0.97  # the loop's share of the bare step's speed
