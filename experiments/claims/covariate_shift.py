"""BatchNorm works by reducing internal covariate shift.

python -m experiments.run covariate_shift
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm works by reducing internal covariate shift: shift put back after it costs "
    "accuracy.",
    chapter="BatchNorm",
    order=6,
    source="Ioffe & Szegedy 2015, sec. 1 and 2",
    published="the motive of the paper, without a figure",
    contrary="Santurkar et al. 2018, fig. 2: with noise after BatchNorm a VGG trains as well",
    cannot_show="deep nets; the noise also regularises",
    config="bn_lenet:fashion_mnist",
    variants={
        "none": {"model.norm": "none"},
        "batch": {"model.norm": "batch"},
        "batch_noise": {"model.norm": "batch_noise"},
    },
    contrast={"batch": 1, "batch_noise": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                **FASHION_10K,
                "optimizer.name": "momentum",
                "optimizer.learning_rate": 0.3,
                "schedule.name": "constant",
            },
            note="10,000 training images, 5 epochs, momentum 0.9, rate 0.3.",
        )
    },
)
