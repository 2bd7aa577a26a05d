"""Augmentation is worth more than weight decay.

python -m experiments.run augmentation_beats_decay
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Augmentation is worth more than weight decay.",
    chapter="Regularisation",
    source="Zhang et al. 2017, table 1",
    published="Inception on CIFAR-10: random crops +3.3 to +3.6, decay -0.3 to +0.3 points",
    contrary=(
        "augmentation that changes labels hurts: 5 degrees of rotation 47.1 to 44.8 % "
        "(Mishkin et al. 2017)"
    ),
    cannot_show="one net, one set and one size of training set",
    config="resnet20_cifar:cifar10",
    variants={
        "augmented": {
            "augment": ("pad_and_crop(2)", "horizontal_flip"),
            "optimizer.weight_decay": 0.0,
        },
        "decay": {"augment": (), "optimizer.weight_decay": 5e-4},
    },
    contrast={"augmented": 1, "decay": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=6,
    scales={
        "laptop": Scale(
            {**CIFAR_16, "epochs": 16.0, "eval_every_epochs": 16.0},
            note="16 epochs of 5,000 images of 16 pixels.",
        ),
        "gpu": Scale({}),
    },
    bundle="one regulariser in place of the other",
)
