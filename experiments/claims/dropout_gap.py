"""Dropout 0.5 reduces overfitting: the gap between test and training loss.

python -m experiments.run dropout_gap
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_2K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Dropout 0.5 reduces overfitting: the gap between test and training loss.",
    chapter="Regularisation",
    order=1,
    source="Krizhevsky et al. 2012, sec. 4.2; Srivastava et al. 2014",
    published=(
        "substantial overfitting without it (no figure); CIFAR-10 15.60 to 14.32 % error in "
        "dense layers"
    ),
    contrary="Mishkin et al. 2017: the best rate is 0.3 (49.7 %), not 0.5 (47.1 %)",
    cannot_show="whether accuracy gains as well: see dropout_half",
    config="lenet5:fashion_mnist",
    variants={"none": {"model.dropout": 0.0}, "half": {"model.dropout": 0.5}},
    contrast={"half": 1, "none": -1},
    measure=probed("loss gap", "nats", 10.0, "less"),
    rule=Rule("less", margin=0.02),
    seeds=6,
    scales={
        "laptop": Scale(
            {**FASHION_2K, "model.name": "mlp", "schedule.gamma": 0.95},
            note="2,000 training images, 20 epochs, 300 hidden units.",
        )
    },
    probe="experiments.probes.trained:on_train",
)
