"""BatchNorm before or after the non-linearity.

python -m experiments.run norm_before_activation
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm belongs before the non-linearity, not after it.",
    chapter="BatchNorm",
    order=11,
    source="Ioffe & Szegedy 2015, sec. 3.2",
    published="the input of the non-linearity is the more Gaussian one (no figure)",
    contrary="Mishkin et al. 2017: CaffeNet 47.8 before, 49.9 % after; GoogLeNet 60.3 and 59.6 %",
    cannot_show="deep nets; after it, the layers keep their biases",
    config="bn_lenet:fashion_mnist",
    variants={
        "after": {"model.norm_place": "after"},
        "before": {"model.norm_place": "before"},
    },
    contrast={"before": 1, "after": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=10,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
