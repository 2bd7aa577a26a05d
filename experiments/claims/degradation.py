"""A deeper plain net has a higher training loss.

python -m experiments.run degradation
"""

from experiments.claim import Claim, Scale
from experiments.measures import TRAIN_LOSS
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A deeper plain net has a higher training loss.",
    chapter="ResNet",
    order=1,
    source="He et al. 2016, fig. 1 and table 2",
    published=(
        "plain-34 28.54 against plain-18 27.94 % error, and higher in training too; on "
        "CIFAR-10 a figure alone"
    ),
    contrary=(
        "in few steps a part of it is slowness: the paper's own guess is an exponentially low "
        "rate of convergence"
    ),
    cannot_show="what many more steps would do",
    config="resnet20_cifar:cifar10",
    variants={
        "plain20": {"model.name": "plain20_cifar"},
        "plain56": {"model.name": "plain56_cifar"},
    },
    contrast={"plain56": 1, "plain20": -1},
    measure=TRAIN_LOSS,
    rule=Rule("greater", margin=0.05),
    seeds=6,
    scales={
        "laptop": Scale({**CIFAR_16, "model.scan": True}, note=CIFAR_NOTE),
        "gpu": Scale({}, note="the recipe of the paper in full"),
    },
)
