"""Softmax confidence is a probability: the calibration error is under 2 points.

python -m experiments.run confidence_is_probability
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("Softmax confidence is a probability: the calibration error is under 2 points."),
    chapter="Evaluation",
    order=1,
    source="lecture notes",
    published=("no figure; Guo et al. 2017 find 4.6 points for ResNet-110 on CIFAR-10 (recalled)"),
    contrary=(
        "Guo et al. 2017: modern nets are overconfident; LeNet-5 is nearly calibrated (recalled)"
    ),
    cannot_show="nets that do not overfit",
    config="bn_lenet:fashion_mnist",
    variants={"bn_lenet": {"model.name": "bn_lenet"}},
    contrast={"bn_lenet": 1},
    measure=probed("calibration error", "points", 90.0, "less"),
    rule=Rule("less", margin=0.0, threshold=2.0),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(20.0, data__validation=55_000.0, schedule__gamma=0.95),
            note="5,000 training images, 20 epochs: the net overfits.",
        )
    },
    probe="experiments.probes.trained:calibration",
)
