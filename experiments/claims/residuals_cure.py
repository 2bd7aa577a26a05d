"""Shortcuts let depth help: the interaction of 56 and 20 layers with shortcuts.

python -m experiments.run residuals_cure
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("Shortcuts let depth help: the interaction of 56 and 20 layers with shortcuts."),
    chapter="ResNet",
    order=4,
    source="He et al. 2016, sec. 4.2, table 6",
    published="ResNet-56 6.97, ResNet-20 8.75 % error; plain nets the other way",
    contrary="at 18 layers there is nothing: 27.88 and 27.94 % on ImageNet",
    cannot_show="that depth itself helps, which takes the full recipe",
    config="resnet20_cifar:cifar10",
    variants={
        "plain20": {"model.name": "plain20_cifar"},
        "plain56": {"model.name": "plain56_cifar"},
        "resnet20": {"model.name": "resnet20_cifar"},
        "resnet56": {"model.name": "resnet56_cifar"},
    },
    contrast={"resnet56": 1, "plain56": -1, "resnet20": -1, "plain20": 1},
    measure=ACCURACY,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale({**CIFAR_16, "model.scan": True}, note=CIFAR_NOTE),
        "gpu": Scale({}, note="the recipe of the paper in full"),
    },
)
