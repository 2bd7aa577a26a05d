"""GELU, separable convolutions and CBAM together.

python -m experiments.run modified_together
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE, CIFAR_ONCE_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="GELU, separable 3x3 and CBAM together improve ResNet-20.",
    chapter="Modern blocks",
    order=4,
    source="lecture notes",
    published="no figure",
    contrary="MobileNet loses a point by separable convolutions; GELU and gates bring about one",
    cannot_show="wide nets and long schedules, and equal work: the modified net has a sixth of it",
    config="resnet20_cifar:cifar10",
    variants={
        "original": {},
        "modified": {
            "model.activation": "gelu",
            "model.block": "separable",
            "model.attention": "cbam",
        },
    },
    contrast={"modified": 1, "original": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=6,
    scales={"laptop": Scale(CIFAR_16_ONCE, note=CIFAR_ONCE_NOTE), "gpu": Scale({})},
    bundle="the modifications are claimed together; each alone has a claim of its own",
)
