"""Cross-entropy against squared error, for classes.

python -m experiments.run cross_entropy
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Cross-entropy beats the squared error for classes.",
    chapter="LeNet",
    order=5,
    source="lecture notes",
    published="no figure",
    contrary="Hui & Belkin 2021: squared error does as well or better in many tasks, with its own "
    "scales (recalled); LeNet-5 of 1998 was trained with it",
    cannot_show="a rate tuned for each: Adam makes the scale of a loss nearly irrelevant",
    config="bn_lenet:fashion_mnist",
    variants={
        "squared": {"loss.name": "mean_squared"},
        "cross-entropy": {"loss.name": "softmax_cross_entropy"},
    },
    contrast={"cross-entropy": 1, "squared": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
