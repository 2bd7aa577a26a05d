"""Weight decay also lowers the training error.

python -m experiments.run decay_lowers_training_error
"""

from experiments.claim import Claim, Scale
from experiments.measures import TRAIN_LOSS
from experiments.scales import FASHION_5K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Weight decay also lowers the training error.",
    chapter="Regularisation",
    source="Krizhevsky et al. 2012, sec. 5",
    published="it reduces the model's training error (no figure)",
    contrary=(
        "Zhang et al. 2017: 86.03 and 85.75 % with and without; with BatchNorm decay changes "
        "the effective rate (recalled)"
    ),
    cannot_show="AlexNet at 90 epochs, and rates tuned for each",
    config="lenet5:fashion_mnist",
    variants={"none": {"optimizer.weight_decay": 0.0}, "5e-4": {"optimizer.weight_decay": 5e-4}},
    contrast={"5e-4": 1, "none": -1},
    measure=TRAIN_LOSS,
    rule=Rule("less", margin=0.01),
    seeds=6,
    scales={
        "laptop": Scale(
            {**FASHION_5K, "optimizer.name": "momentum", "optimizer.learning_rate": 0.03},
            note="5,000 training images, 10 epochs, momentum 0.9.",
        )
    },
)
