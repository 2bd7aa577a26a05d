"""Large batches, with rates in proportion.

python -m experiments.run large_batch_scaled_rate
"""

import dataclasses

from experiments.claims.large_batch_fixed_rate import CLAIM as FIXED

CLAIM = dataclasses.replace(
    FIXED,
    statement="Large batches generalise worse at equal epochs, even with rates in proportion.",
    order=10,
    source="Keskar et al. 2017 (recalled)",
    published="hysts' ResNet on CIFAR-10: batches of 128 8.09, 1024 8.40, 4096 10.57 % error",
    contrary="Goyal et al. 2017: with a warm-up no loss up to 8,192 on ImageNet",
    cannot_show="a warm-up; generalisation apart from the number of steps",
    variants={
        "64": {"batch_size": 64, "optimizer.learning_rate": 0.01},
        "512": {"batch_size": 512, "optimizer.learning_rate": 0.08},
    },
    contrast={"512": 1, "64": -1},
    bundle="the rate is in proportion to the batch",
)
