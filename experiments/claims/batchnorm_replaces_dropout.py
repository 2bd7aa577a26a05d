"""A net with BatchNorm gains nothing from dropout.

python -m experiments.run batchnorm_replaces_dropout
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_5K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A net with BatchNorm gains nothing from dropout.",
    chapter="BatchNorm",
    source="Ioffe & Szegedy 2015, sec. 4.2.1",
    published="BN-x5 drops it",
    contrary=(
        "Mishkin et al. 2017, CaffeNet with BatchNorm: dropout 0.5 49.9, 0.2 52.7, none 51.3 %"
    ),
    cannot_show="dropout in convolutions; the claim is tested as: dropout 0.5 lowers accuracy",
    config="bn_lenet:fashion_mnist",
    variants={"none": {"model.dropout": 0.0}, "half": {"model.dropout": 0.5}},
    contrast={"half": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.5),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_5K, note="5,000 training images, 10 epochs; 65,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
