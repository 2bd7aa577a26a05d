"""SGD generalises better than Adam, each at its best rate.

python -m experiments.run sgd_generalises_better
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import ACCURACY, TRAIN_LOSS
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="SGD generalises better than Adam, each at its best rate.",
    chapter="Optimisation",
    order=2,
    source="Wilson et al. 2017, sec. 4",
    published="VGG on CIFAR-10: SGD 7.65, the best adaptive method 9.60 % error",
    contrary=(
        "Choi et al. 2019: tuned, adaptive methods never underperform; a re-run at small "
        "scale (NafeelAhmad) has SGD ahead in 36 % of pairs"
    ),
    cannot_show="deep nets and long schedules",
    config="bn_lenet:fashion_mnist",
    variants={"adam": {"optimizer.name": "adam"}, "momentum": {"optimizer.name": "momentum"}},
    contrast={"momentum": 1, "adam": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=10,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
    tuning=Tuning("optimizer.learning_rate", (0.001, 0.003, 0.01, 0.03, 0.1), TRAIN_LOSS),
)
