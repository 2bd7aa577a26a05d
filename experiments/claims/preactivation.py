"""Pre-activation and depth.

python -m experiments.run preactivation
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE, CIFAR_ONCE_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Pre-activation makes a ResNet of 20 layers better.",
    chapter="ResNet",
    order=9,
    source="He et al. 2016 (identity mappings), table 2",
    published="ResNet-110 6.61 to 6.37, ResNet-164 5.93 to 5.46 % error",
    contrary="at 110 layers hysts has 6.52 and 6.47; uvadlc's shallow net 91.00 and 90.65 % "
    "accuracy; weiaicunzai's ResNet-18 24.39 and 27.08 % error on CIFAR-100",
    cannot_show="110 layers and more, which it was made for; a long schedule",
    config="resnet20_cifar:cifar10",
    variants={
        "original": {"model.name": "resnet20_cifar"},
        "pre-activation": {"model.name": "resnet20_v2_cifar"},
    },
    contrast={"pre-activation": 1, "original": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16_ONCE, note=CIFAR_ONCE_NOTE), "gpu": Scale({})},
)
