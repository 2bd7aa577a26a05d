"""A convolutional net beats an MLP of four times its parameters.

python -m experiments.run cnn_beats_mlp
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A convolutional net beats an MLP of four times its parameters.",
    chapter="Perceptron",
    order=2,
    source="LeCun et al. 1998, fig. 9",
    published="test error on MNIST 4.7 % for 28x28-300-10, 0.95 % for LeNet-5",
    contrary=(
        "Simard et al. 2003 reach 1.6 % with an MLP, and 0.7 % with elastic distortions (recalled)"
    ),
    cannot_show="one net, one set and one size of training set",
    config="lenet5:fashion_mnist",
    variants={"mlp": {"model.name": "mlp"}, "lenet5": {"model.name": "lenet5"}},
    contrast={"lenet5": 1, "mlp": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
