"""GELU beats ReLU.

python -m experiments.run gelu_beats_relu
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="GELU beats ReLU.",
    chapter="Activations",
    source="Hendrycks & Gimpel 2016, sec. 3.3",
    published="CIFAR-10 error, nine layers, median of 3: GELU 7.89, ReLU 8.16 %",
    contrary="AlgoPerf's targets for ResNet-50, each tuned: ReLU 77.43, GELU 76.77 %",
    cannot_show="one net, one set and one size of training set",
    config="bn_lenet:fashion_mnist",
    variants={"relu": {"model.activation": "relu"}, "gelu": {"model.activation": "gelu"}},
    contrast={"gelu": 1, "relu": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=10,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
