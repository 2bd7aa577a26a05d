"""BatchNorm wants batches of fifty and more.

python -m experiments.run batches_for_batchnorm
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_5K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm wants batches of 50 to 100: at 8 it loses accuracy.",
    chapter="BatchNorm",
    order=9,
    source="lecture notes",
    published="batches of 50 to 100 (no figure)",
    contrary="at equal epochs a smaller batch makes more steps; Masters & Luschi 2018 find 2 to 32 "
    "best, with BatchNorm 4 to 8",
    cannot_show="rates tuned for each: they are in proportion to the batch",
    config="bn_lenet:fashion_mnist",
    variants={
        "8": {"batch_size": 8, "optimizer.learning_rate": 0.004},
        "64": {"batch_size": 64, "optimizer.learning_rate": 0.032},
        "256": {"batch_size": 256, "optimizer.learning_rate": 0.128},
    },
    contrast={"64": 1, "8": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            {**FASHION_5K, "optimizer.name": "momentum"}, note="5,000 training images, 10 epochs."
        )
    },
    bundle="the rate follows the batch",
)
