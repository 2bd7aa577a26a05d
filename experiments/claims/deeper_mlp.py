"""More hidden layers than help.

python -m experiments.run deeper_mlp
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="More hidden layers make an MLP better: six beat one.",
    chapter="Perceptron",
    order=5,
    source="lecture notes; LeCun et al. 1998, fig. 9",
    published="MNIST: 28x28-300-10 4.7, 28x28-300-100-10 3.05 % error",
    contrary="depth helps until it does not: VGG 16 layers 27.0, 19 layers 27.3 % (table 3)",
    cannot_show="convolutional nets, see degradation; a rate tuned for each",
    config="mlp:fashion_mnist",
    variants={
        "one": {"model.hidden": (300,)},
        "two": {"model.hidden": (300, 300)},
        "six": {"model.hidden": (300, 300, 300, 300, 300, 300)},
    },
    contrast={"six": 1, "one": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
