"""One temperature, fitted on validation, halves the calibration error at least.

python -m experiments.run temperature_scaling
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("One temperature, fitted on validation, halves the calibration error at least."),
    chapter="Evaluation",
    order=2,
    source="Guo et al. 2017, table 1",
    published="ResNet-110 on CIFAR-10: 4.6 to 0.8 points (recalled)",
    contrary="none is known",
    cannot_show="shifted test images, where it helps less",
    config="bn_lenet:fashion_mnist",
    variants={"bn_lenet": {"model.name": "bn_lenet"}},
    contrast={"bn_lenet": 1},
    measure=probed("calibration error, scaled over plain", "ratio", 1.0, "less"),
    rule=Rule("less", margin=1.0, threshold=0.5, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(20.0, data__validation=55_000.0, schedule__gamma=0.95),
            note="5,000 training images, 20 epochs: the net overfits.",
        )
    },
    probe="experiments.probes.trained:calibration",
)
