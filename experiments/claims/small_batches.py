"""BatchNorm fails at tiny batches, GroupNorm does not.

python -m experiments.run small_batches
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_5K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm fails at tiny batches, GroupNorm does not.",
    chapter="BatchNorm",
    source="Wu & He 2018, fig. 1",
    published=(
        "ResNet-50 with batches of 2: error 34.7 % with BatchNorm, 24.1 % with GroupNorm (recalled)"
    ),
    contrary="at batches of 32 BatchNorm is better by half a point (recalled)",
    cannot_show="larger nets; the rate is in proportion to the batch",
    config="bn_lenet:fashion_mnist",
    variants={
        "batch, 2": {"model.norm": "batch", "batch_size": 2, "optimizer.learning_rate": 0.001},
        "group, 2": {"model.norm": "group", "batch_size": 2, "optimizer.learning_rate": 0.001},
        "batch, 64": {"model.norm": "batch", "batch_size": 64, "optimizer.learning_rate": 0.032},
        "group, 64": {"model.norm": "group", "batch_size": 64, "optimizer.learning_rate": 0.032},
    },
    contrast={"group, 2": 1, "batch, 2": -1, "group, 64": -1, "batch, 64": 1},
    measure=ACCURACY,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {**FASHION_5K, "optimizer.name": "momentum"}, note="5,000 training images, 10 epochs."
        )
    },
    bundle="an interaction: the norm by the batch, whose rate follows",
)
