"""Label smoothing improves accuracy.

python -m experiments.run label_smoothing
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Label smoothing improves accuracy.",
    chapter="Regularisation",
    source="Szegedy et al. 2016, sec. 7",
    published="Inception v3: top-1 error 23.1 to 22.8 %",
    contrary=(
        "Müller et al. 2019, table 2: CIFAR-10 AlexNet 86.8 and 86.7 %; hysts: 7.60 and 7.57 %"
    ),
    cannot_show="one net, one set and one size of training set",
    config="bn_lenet:fashion_mnist",
    variants={"0": {"loss.label_smoothing": 0.0}, "0.1": {"loss.label_smoothing": 0.1}},
    contrast={"0.1": 1, "0": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
