"""With sigmoids LeNet-5 needs BatchNorm.

python -m experiments.run batchnorm_sigmoid
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="With sigmoids LeNet-5 needs BatchNorm.",
    chapter="BatchNorm",
    order=4,
    source="Ioffe & Szegedy 2015, sec. 4.2.2",
    published="Inception with sigmoid stays at chance; with BatchNorm 69.8 %",
    contrary="LeCun's nets of 1998 trained squashing units by careful scaling",
    cannot_show="a rate tuned for each",
    config="lenet5:fashion_mnist",
    variants={"none": {"model.norm": "none"}, "batch": {"model.norm": "batch"}},
    contrast={"batch": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {**FASHION_10K, "model.activation": "sigmoid"},
            note="10,000 training images, 5 epochs of Adam; 60,000 held out.",
        )
    },
)
