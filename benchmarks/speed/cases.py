"""What `benchmarks.speed` trains, and how fast it must be beside PyTorch. Plain data: workers of
any framework read it.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Case:
    """A net (or an operation), its images and the batch.

    `goal` is the speed against PyTorch's best, held to by the lower quartile of the rounds, and
    `rate` one in images a second; 0: none.
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

# A laptop's processor: goals as images a CPU second, and by wall time.
ON_CPU = (
    Case("lenet5", "lenet5", 28, 256, 1.0, 1),
    Case("lenet5_relu_max", "lenet5", 28, 256, 1.0, 1, options=RELU_MAX),
    Case("resnet18_32", "resnet18", 32, 64, 1.0, options={"stem": "3x3"}),
    Case("resnet18", "resnet18", 96, 32, 1.0),
    Case("resnet50", "resnet50_v1_5", 224, 8, 1.0, classes=1000),
    Case("googlenet_bn", "googlenet_torchvision", 96, 32, 1.0),
    Case("googlenet", "googlenet", 224, 8, 1.3, classes=1000),
    Case("alexnet", "alexnet", 227, 16, 1.3, classes=1000),
    Case("mobilenet_v2", "mobilenet_v2", 96, 32, 1.0),
    Case("efficientnet_b0", "efficientnet_b0", 96, 32, 1.0),
    Case("resnext50", "resnext50_32x4d", 96, 16, 1.0),
    Case("vgg16", "vgg16", 224, 4, 1.0, classes=1000),
)  # fmt: skip


def also_elsewhere(model: str, size: int, batch: int, **options: Any) -> Case:
    return Case(model, model, size, batch, 1.0, classes=1000, options=options)


# The other nets of the zoo that PyTorch's libraries have with the same counts, at sizes and batches
# of which a core makes a step in seconds.
IN_LIBRARIES = (
    also_elsewhere("alexnet_torchvision", 224, 16),
    *(also_elsewhere(f"vgg{depth}", 224, 4) for depth in (11, 13, 19)),
    *(also_elsewhere(f"vgg{depth}_bn", 224, 4) for depth in (11, 13, 16, 19)),
    also_elsewhere("inception_v3", 299, 4, norm_scale=True, count_padding=True),
    also_elsewhere("inception_v4", 299, 2),
    also_elsewhere("resnet34", 96, 32),
    also_elsewhere("resnet101_v1_5", 96, 16),
    also_elsewhere("resnet152_v1_5", 96, 16),
    also_elsewhere("wide_resnet50_2", 96, 16),
    also_elsewhere("seresnet50", 96, 16, stride_in="3x3"),
    *(
        also_elsewhere(f"resnet{depth}_v2", 96, 16, stem="pool_first", stride_in="3x3")
        for depth in (50, 101, 152)
    ),
    also_elsewhere("mobilenet_v1", 96, 32, activation="relu6"),
    also_elsewhere("mobilenet_v3_small", 96, 32),
    also_elsewhere("mobilenet_v3_large", 96, 32),
    *(also_elsewhere(f"efficientnet_b{i}", 96, 16) for i in range(1, 8)),
    also_elsewhere("convnext_tiny", 96, 16),
)

# One accelerator: mixed precision. 6,000 images/s is half of what an H200's memory traffic allows.
HALF = "bfloat16"
ON_GPU = (
    Case("resnet50", "resnet50_v1_5", 224, 256, 1.2, classes=1000, dtype=HALF, rate=6000),
    Case("googlenet_bn", "googlenet_torchvision", 224, 256, 1.2, classes=1000, dtype=HALF),
    Case("vgg16", "vgg16", 224, 128, 1.2, classes=1000, dtype=HALF),
)

OPERATION_GOAL = 0.5


def operation(name: str, kind: str, size: int, batch: int, channels: int, **options: Any) -> Case:
    """One operation on maps of `channels`: the value, and the gradients by all that it reads.

    Of a `first` layer the images' gradient is not asked for.
    """
    return Case(name, kind, size, batch, OPERATION_GOAL, channels, options=options)


def convolution(
    name: str, size: int, batch: int, channels: int, features: int, window: int, **options: Any
) -> Case:
    given = {"features": features, "window": window, "stride": 1, "pad": window // 2, "groups": 1}
    return operation(name, "convolution", size, batch, channels, **given | options)


# As the nets above have them.
OPERATIONS = (
    convolution("3x3 of ResNet conv2", 56, 8, 64, 64, 3),
    convolution("3x3 of ResNet conv4", 14, 8, 256, 256, 3),
    convolution("3x3 of ResNet conv5", 7, 8, 512, 512, 3),
    convolution("3x3 stride 2 of ResNet conv3", 56, 8, 128, 128, 3, stride=2),
    convolution("1x1 to more", 56, 8, 64, 256, 1),
    convolution("1x1 to fewer", 14, 8, 1024, 256, 1),
    convolution("1x1 stride 2", 56, 8, 256, 512, 1, stride=2),
    convolution("5x5 of Inception", 28, 8, 32, 96, 5),
    convolution("7x7 stride 2 of images", 224, 4, 3, 64, 7, stride=2, first=True),
    convolution("11x11 stride 4 of images", 227, 8, 3, 96, 11, stride=4, pad=0, first=True),
    convolution("5x5 of grey images", 28, 256, 1, 6, 5, first=True),
    convolution("5x5 of six channels", 14, 256, 6, 16, 5, pad=0),
    convolution("depthwise 3x3", 56, 8, 144, 144, 3, groups=144),
    convolution("depthwise 5x5 stride 2", 28, 8, 240, 240, 5, stride=2, groups=240),
    convolution("32 groups of 3x3", 28, 8, 256, 256, 3, groups=32),
    operation("max-pool 3x3 stride 2", "max_pool", 56, 16, 64, window=3, stride=2, pad=1),
    operation("max-pool 3x3", "max_pool", 28, 16, 192, window=3, stride=1, pad=1),
    operation("max-pool 2x2 stride 2", "max_pool", 28, 256, 6, window=2, stride=2, pad=0),
    operation("mean-pool 2x2 stride 2", "mean_pool", 28, 256, 6, window=2, stride=2, pad=0),
    operation("mean of the map", "global_mean", 7, 32, 2048),
    operation("BatchNorm and ReLU", "batch_norm_relu", 28, 32, 128),
    operation("local response normalisation", "response_norm", 28, 16, 192, window=5),
    operation("ReLU", "relu", 56, 16, 64),
    operation("tanh", "tanh", 28, 256, 6),
    operation("dense 4096 to 4096", "dense", 1, 32, 4096, features=4096),
)

INFERENCE_GOAL = 1.0
INFERENCE_BATCHES = (1, 32)
LOOP_GOAL = 0.97  # the loop's share of the bare step's speed
