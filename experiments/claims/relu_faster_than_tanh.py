"""ReLU trains faster than tanh, at each its best rate.

python -m experiments.run relu_faster_than_tanh
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import TRAIN_LOSS, steps_to
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="ReLU trains faster than tanh, at each its best rate.",
    chapter="Activations",
    order=1,
    source="Krizhevsky et al. 2012, fig. 1",
    published="25 % training error on CIFAR-10 six times faster with a four-layer net",
    contrary="uvadlc tutorial 3: tanh 88.57, ReLU 88.65 % on Fashion-MNIST at one recipe",
    cannot_show="another net than LeNet-5, and other initial weights than Glorot's",
    config="lenet5:fashion_mnist",
    variants={"tanh": {"model.activation": "tanh"}, "relu": {"model.activation": "relu"}},
    contrast={"relu": 1, "tanh": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("less", margin=1.15, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                4.0,
                data__validation=40_000.0,
                log_every_steps=5,
                optimizer__name="momentum",
                schedule__name="constant",
                average_decay=0.0,
            ),
            note="20,000 training images, momentum 0.9, a constant rate.",
        )
    },
    tuning=Tuning("optimizer.learning_rate", (0.003, 0.01, 0.03, 0.1), TRAIN_LOSS),
)
