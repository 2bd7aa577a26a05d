"""Depthwise separable convolutions.

python -m experiments.run separable_convolutions
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE, CIFAR_ONCE_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Depthwise separable convolutions lose under two points of accuracy for a sixth of "
    "the work.",
    chapter="Modern blocks",
    order=3,
    source="Howard et al. 2017, table 4",
    published="MobileNet 71.7 to 70.6 % with 4,866 to 569 M multiply-adds",
    contrary="weiaicunzai's CIFAR-100: MobileNet 34.02, VGG-16 27.07, ResNet-18 24.39 % error; "
    "time does not follow the multiply-adds",
    cannot_show="wide nets, whose 3x3 weigh more; a long schedule",
    config="resnet20_cifar:cifar10",
    variants={"3x3": {"model.block": "basic"}, "separable": {"model.block": "separable"}},
    contrast={"separable": 1, "3x3": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.0, threshold=-2.0),
    seeds=6,
    scales={"laptop": Scale(CIFAR_16_ONCE, note=CIFAR_ONCE_NOTE), "gpu": Scale({})},
)
