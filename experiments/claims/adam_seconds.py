"""Adam and momentum: seconds to a target.

python -m experiments.run adam_seconds
"""

import dataclasses

from experiments.claim import Tuning
from experiments.claims.batchnorm_seconds import CLAIM as BATCHNORM
from experiments.measures import probed

CLAIM = dataclasses.replace(
    BATCHNORM,
    statement="Adam reaches 85 % in less time than momentum, at each its best rate.",
    chapter="Optimisation",
    order=9,
    source="Kingma & Ba 2015, sec. 6.3; lecture notes",
    published="on CIFAR-10 Adam and SGD end alike, Adam is ahead in the first epochs (figures)",
    contrary="Choi et al. 2019: tuned in full, the more general optimiser is never behind",
    cannot_show="deep nets, schedules, and the last points of accuracy",
    variants={"momentum": {"optimizer.name": "momentum"}, "adam": {"optimizer.name": "adam"}},
    contrast={"adam": 1, "momentum": -1},
    tuning=Tuning(
        "optimizer.learning_rate",
        (0.001, 0.003, 0.01, 0.03, 0.1),
        probed("steps", "steps", 1e6, "less"),
        extensions=2,
    ),
)
