"""BatchNorm after the addition.

python -m experiments.run norm_after_addition
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE, CIFAR_ONCE_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm after the addition costs a ResNet accuracy.",
    chapter="ResNet",
    order=10,
    source="He et al. 2016 (identity mappings), table 2",
    published="ResNet-110 6.61 to 8.17 % error",
    contrary="gcr's torch-residual-networks: 8.29 and 8.34 % at 20 layers, 6.97 and 13.56 at 110",
    cannot_show="110 layers; at laptop scale 32",
    config="resnet20_cifar:cifar10",
    variants={"before": {"model.block": "basic"}, "after": {"model.block": "norm_last"}},
    contrast={"after": 1, "before": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.75),
    seeds=6,
    scales={
        "laptop": Scale(
            {**CIFAR_16_ONCE, "model.name": "resnet32_cifar", "model.scan": True},
            note=CIFAR_ONCE_NOTE,
        ),
        "gpu": Scale({"model.name": "resnet110_cifar", "schedule.warmup_epochs": 1.1}),
    },
)
