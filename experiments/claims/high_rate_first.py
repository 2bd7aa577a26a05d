"""A high rate is ahead in the first epoch.

python -m experiments.run high_rate_first
"""

from experiments.claim import Claim, Scale
from experiments.measures import FIRST_TRAIN_LOSS
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A high rate is ahead of a low one in the first epoch.",
    chapter="Optimisation",
    order=7,
    source="Karpathy, CS231n notes, Neural networks part 3, loss function",
    published="low rates improve linearly, high ones decay the loss faster (a sketch)",
    contrary="a rate that is too high diverges from the start",
    cannot_show="other rates than 0.2 and 0.02, and other optimisers than plain SGD",
    config="bn_lenet:fashion_mnist",
    variants={
        "0.02": {"optimizer.learning_rate": 0.02},
        "0.2": {"optimizer.learning_rate": 0.2},
    },
    contrast={"0.2": 1, "0.02": -1},
    measure=FIRST_TRAIN_LOSS,
    rule=Rule("less", margin=0.02),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "epochs": 15.0,
                "eval_every_epochs": 3.0,
                "data.validation": 55_000.0,
                "optimizer.name": "sgd",
                "model.norm": "none",
                "schedule.name": "constant",
            },
            note="5,000 training images, 15 epochs of plain SGD; the loss of epochs 1 to 3, and of "
            "12 to 15.",
        )
    },
)
