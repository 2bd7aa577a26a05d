"""BatchNorm lets a net train at a rate that is too high without it.

python -m experiments.run batchnorm_high_rates
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm lets a net train at a rate that is too high without it.",
    chapter="BatchNorm",
    order=3,
    source="Ioffe & Szegedy 2015, sec. 4.2.1",
    published=(
        "Inception at five times its rate diverges, with BatchNorm it trains at 30 times (74.8 %)"
    ),
    contrary=(
        "Fixup and NFNets train at high rates without it (recalled); Bjorck et al. 2018 see "
        "in this the cause of its gains"
    ),
    cannot_show="the largest rate of each net: one high rate, 1.0, is tried",
    config="bn_lenet:fashion_mnist",
    variants={"none": {"model.norm": "none"}, "batch": {"model.norm": "batch"}},
    contrast={"batch": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=2.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                **FASHION_10K,
                "optimizer.name": "momentum",
                "optimizer.learning_rate": 1.0,
                "schedule.name": "constant",
            },
            note="10,000 training images, 5 epochs, momentum 0.9, rate 1.",
        )
    },
)
