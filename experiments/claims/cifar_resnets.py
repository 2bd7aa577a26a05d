"""ResNets for CIFAR-10 get better with depth: 56 layers beat 20.

python -m experiments.run cifar_resnets
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="ResNets for CIFAR-10 get better with depth: 56 layers beat 20.",
    chapter="ResNet",
    order=5,
    source="He et al. 2016, table 6",
    published=(
        "error of ResNet-20/32/44/56/110 8.75, 7.51, 7.17, 6.97, 6.43 %; plain nets in a "
        "figure alone"
    ),
    contrary=(
        "none for this recipe: akamaster's re-runs have 8.27, 7.37, 6.90, 6.61, 6.32 %; 1202 "
        "layers are worse again, 7.93 %"
    ),
    cannot_show="at laptop scale, what the whole schedule of 64,000 steps would give",
    config="resnet20_cifar:cifar10",
    variants={
        "plain20": {"model.name": "plain20_cifar"},
        "plain32": {"model.name": "plain32_cifar"},
        "plain44": {"model.name": "plain44_cifar"},
        "plain56": {"model.name": "plain56_cifar"},
        "resnet20": {"model.name": "resnet20_cifar"},
        "resnet32": {"model.name": "resnet32_cifar"},
        "resnet44": {"model.name": "resnet44_cifar"},
        "resnet56": {"model.name": "resnet56_cifar"},
        "resnet110": {
            "model.name": "resnet110_cifar",
            "schedule.warmup": "constant",
            "schedule.warmup_from": 0.1,
            "schedule.warmup_epochs": 1.1,
        },
    },
    contrast={"resnet56": 1, "resnet20": -1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=0.3, sides=1),
    seeds=5,
    scales={
        "laptop": Scale({**CIFAR_16, "model.scan": True}, note=CIFAR_NOTE),
        "gpu": Scale(
            {"eval_every_epochs": 1000.0, "checkpoint.every_steps": 1000, "model.scan": True},
            note="the recipe of the paper in full, its 45,000 training images",
        ),
    },
    bundle="110 layers warm up, as in the paper",
)
