"""Convolutions with strides in place of pools.

python -m experiments.run strides_for_pools
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Pools can go: strided convolutions in their place cost accuracy.",
    chapter="LeNet",
    order=6,
    source="Springenberg et al. 2015, table 3; lecture notes",
    published="CIFAR-10: max-pooling 9.74, strides instead 10.19, an all-convolutional net 9.08 % "
    "error (recalled)",
    contrary="Mishkin et al. 2017: max-pooling 47.1, strided convolutions instead 47.2 %",
    cannot_show="a convolution of its own in place of the pool, which has more parameters",
    config="lenet5:fashion_mnist",
    variants={"max": {"model.pooling": "max"}, "stride": {"model.pooling": "stride"}},
    contrast={"stride": 1, "max": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.3),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
