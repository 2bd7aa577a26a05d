"""A searched policy (AutoAugment) beats crops and flips.

python -m experiments.run searched_policies
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A searched policy (AutoAugment) beats crops and flips.",
    chapter="Regularisation",
    source="Cubuk et al. 2019",
    published="Wide ResNet on CIFAR-10: 96.1 to 97.4 % (recalled)",
    contrary=(
        "TrivialAugment, without any search, has 97.5 % (recalled); short training does not "
        "pay for strong augmentation"
    ),
    cannot_show="long schedules",
    config="resnet20_cifar:cifar10",
    variants={
        "crops and flips": {"augment": ("pad_and_crop(2)", "horizontal_flip")},
        "searched": {"augment": ("pad_and_crop(2)", "horizontal_flip", "auto_augment_cifar")},
    },
    contrast={"searched": 1, "crops and flips": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16, note=CIFAR_NOTE), "gpu": Scale({})},
)
