"""Large batches generalise worse, at a fixed rate and equal epochs.

python -m experiments.run large_batch_fixed_rate
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Large batches generalise worse, at a fixed rate and equal epochs.",
    chapter="Optimisation",
    source="Keskar et al. 2017; Masters & Luschi 2018: best between 2 and 32",
    published=(
        "hysts' ResNet on CIFAR-10: batches of 128 8.09, 4096 10.57 % error with scaled rates"
    ),
    contrary=("at equal steps, or with more epochs, most of it goes: 4096 8.14 % at 800 epochs"),
    cannot_show="generalisation apart from the number of steps, which is smaller here",
    config="bn_lenet:fashion_mnist",
    variants={"64": {"batch_size": 64}, "1024": {"batch_size": 1024}},
    contrast={"1024": 1, "64": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                **FASHION_10K,
                "optimizer.name": "momentum",
                "optimizer.learning_rate": 0.03,
                "schedule.name": "constant",
            },
            note="10,000 training images, 5 epochs, momentum 0.9.",
        )
    },
)
