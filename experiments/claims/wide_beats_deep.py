"""A wide net against a deep one.

python -m experiments.run wide_beats_deep
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Twice the channels beat 2.8 times the depth: ResNet-20 and ResNet-56.",
    chapter="ResNet",
    order=13,
    source="Zagoruyko & Komodakis 2016, table 5",
    published="WRN-28-10 4.00, ResNet-1001 4.62 % error on CIFAR-10, with a fraction of the time",
    contrary="in parameters the wide net is the larger: 1.07 and 0.85 M here",
    cannot_show="long schedules, in which depth pays",
    config="resnet20_cifar:cifar10",
    variants={
        "deep": {"model.name": "resnet56_cifar", "model.width": 1},
        "wide": {"model.name": "resnet20_cifar", "model.width": 2},
    },
    contrast={"wide": 1, "deep": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=6,
    scales={
        "laptop": Scale(
            {**CIFAR_16_ONCE, "epochs": 0.4, "eval_every_epochs": 0.4, "model.scan": True},
            note="CIFAR-10 at 16 pixels, 18,000 images seen once; 15,000 held out.",
        ),
        "gpu": Scale({}),
    },
    bundle="width in place of depth, at 156 and 125 M multiply-adds",
)
