"""Label smoothing and calibration.

python -m experiments.run label_smoothing_calibration
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Label smoothing halves the calibration error of a net that overfits.",
    chapter="Evaluation",
    order=7,
    source="Müller et al. 2019, sec. 3",
    published="ResNet-56 on CIFAR-100 and others are calibrated as if by a temperature (figures)",
    contrary="a net that is calibrated already becomes too modest",
    cannot_show="what the features lose for transfer (Kornblith et al. 2021)",
    config="bn_lenet:fashion_mnist",
    variants={"0": {"loss.label_smoothing": 0.0}, "0.1": {"loss.label_smoothing": 0.1}},
    contrast={"0.1": 1, "0": -1},
    measure=probed("calibration error", "points", 90.0, "less"),
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
