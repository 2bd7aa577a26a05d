"""ReLU trains six times faster than tanh.

python -m experiments.run relu_six_times
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import TRAIN_LOSS, steps_to
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="ReLU trains six times faster than tanh.",
    chapter="Activations",
    order=2,
    source="Krizhevsky et al. 2012, fig. 1",
    published=(
        "25 % training error on CIFAR-10 six times faster with a four-layer net, each rate "
        "chosen for speed"
    ),
    contrary=(
        "Mishkin et al. 2017: ReLU 47.1, tanh 40.1 % after as many steps; uvadlc tutorial 3: "
        "no difference on Fashion-MNIST"
    ),
    cannot_show=("the size of the effect in the paper's own net, which is not published in full"),
    config="lenet5:fashion_mnist",
    variants={"tanh": {"model.activation": "tanh"}, "relu": {"model.activation": "relu"}},
    contrast={"tanh": 1, "relu": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("greater", margin=1.15, threshold=6.0, ratio=True),
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
