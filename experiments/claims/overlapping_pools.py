"""Overlapping pools improve accuracy.

python -m experiments.run overlapping_pools
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import ALEXNET_67
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Overlapping pools improve accuracy.",
    chapter="AlexNet",
    source="Krizhevsky et al. 2012, sec. 3.4",
    published="3x3 every 2 against 2x2 every 2: top-1 error 0.4, top-5 0.3 points lower",
    contrary=(
        "Scherer et al. 2010: overlapping windows are no significant improvement; Mishkin et "
        "al. 2017: 47.1 with, 48.4 % with 2x2 (on larger maps)"
    ),
    cannot_show="ImageNet at 227 pixels",
    config="alexnet:cifar10",
    variants={"2x2": {"model.overlap": False}, "3x3": {"model.overlap": True}},
    contrast={"3x3": 1, "2x2": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales={
        "laptop": Scale(
            {**ALEXNET_67["laptop"].changes, "epochs": 6.0, "eval_every_epochs": 6.0},
            config=ALEXNET_67["laptop"].config,
            note=ALEXNET_67["laptop"].note,
        ),
        "gpu": ALEXNET_67["gpu"],
    },
)
