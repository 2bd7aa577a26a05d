"""Decoupled weight decay beats L2 in Adam.

python -m experiments.run decoupled_decay
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import ACCURACY
from experiments.scales import FASHION_5K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Decoupled weight decay beats L2 in Adam.",
    chapter="Optimisation",
    order=3,
    source="Loshchilov & Hutter 2019, sec. 4",
    published="15 % relative improvement of test error on CIFAR-10 and ImageNet32",
    contrary=(
        "it shows at long budgets and over whole grids; at equal small ones nothing is expected"
    ),
    cannot_show="grids of rate and decay together",
    config="bn_lenet:fashion_mnist",
    variants={
        "l2": {"optimizer.weight_decay_kind": "l2"},
        "decoupled": {"optimizer.weight_decay_kind": "decoupled"},
    },
    contrast={"decoupled": 1, "l2": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_5K, note="5,000 training images, 10 epochs; 65,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
    tuning=Tuning("optimizer.weight_decay", (1e-4, 1e-3, 1e-2, 1e-1), ACCURACY),
)
