"""Local response normalisation improves accuracy.

python -m experiments.run lrn_helps
"""

from experiments.claim import Claim
from experiments.measures import ACCURACY
from experiments.scales import ALEXNET_67
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Local response normalisation improves accuracy.",
    chapter="AlexNet",
    source="Krizhevsky et al. 2012, sec. 3.3",
    published="top-1 error 1.4 points lower; 13 to 11 % on CIFAR-10 with a four-layer net",
    contrary=(
        "VGG table 3: A 29.6, A-LRN 29.7 % error; Mishkin et al. 2017: 47.0 with, 47.1 % without"
    ),
    cannot_show=(
        "ImageNet at 227 pixels, with grey levels of 0 to 255, for which LRN's constants were made"
    ),
    config="alexnet:cifar10",
    variants={"without": {"model.lrn": False}, "with": {"model.lrn": True}},
    contrast={"with": 1, "without": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales=ALEXNET_67,
)
