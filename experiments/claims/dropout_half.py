"""Dropout 0.5 improves accuracy.

python -m experiments.run dropout_half
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_2K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Dropout 0.5 improves accuracy.",
    chapter="Regularisation",
    order=2,
    source="Srivastava et al. 2014, table 3",
    published="CIFAR-10 15.60 to 14.32 % error with dropout in the dense layers",
    contrary=(
        "a re-run got 15.31 % for the 14.32; Mishkin et al. 2017: no dropout with narrower "
        "layers 45.6, 0.1 47.3, 0.3 49.7, 0.5 47.1 %"
    ),
    cannot_show="convolutional nets of several dense layers",
    config="lenet5:fashion_mnist",
    variants={"none": {"model.dropout": 0.0}, "half": {"model.dropout": 0.5}},
    contrast={"half": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=8,
    scales={
        "laptop": Scale(
            {**FASHION_2K, "model.name": "mlp", "schedule.gamma": 0.95},
            note="2,000 training images, 20 epochs, 300 hidden units.",
        )
    },
    probe="experiments.probes.trained:on_train",
)
