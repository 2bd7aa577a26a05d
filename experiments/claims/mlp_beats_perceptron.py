"""A hidden layer beats the perceptron.

python -m experiments.run mlp_beats_perceptron
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A hidden layer beats the perceptron.",
    chapter="Perceptron",
    order=1,
    source="LeCun et al. 1998, fig. 9",
    published=("test error on MNIST 12.0 % for the linear classifier, 4.7 % with 300 hidden units"),
    contrary="none is known; on few images the linear classifier comes near",
    cannot_show="squared error and sigmoids, as in 1998: here softmax, cross-entropy and ReLU",
    config="mlp:mnist",
    variants={"perceptron": {"model.name": "perceptron"}, "mlp": {"model.name": "mlp"}},
    contrast={"mlp": 1, "perceptron": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(5.0, data__validation=50_000.0), note="10,000 training images, 5 epochs."
        )
    },
)
