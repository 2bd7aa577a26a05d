"""Projection shortcuts (B) beat identity (A).

python -m experiments.run projection_shortcuts
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Projection shortcuts (B) beat identity (A).",
    chapter="ResNet",
    order=6,
    source="He et al. 2016, table 3",
    published="A 25.03, B 24.52, C 24.19 % error: small differences, not essential",
    contrary=(
        "He et al. 2016 (identity mappings), table 1: 1x1 convolutions in every shortcut at "
        "110 layers 12.22 against 6.61 % (recalled)"
    ),
    cannot_show="nets of 34 layers and more",
    config="resnet20_cifar:cifar10",
    variants={"A": {"model.shortcut": "A"}, "B": {"model.shortcut": "B"}},
    contrast={"B": 1, "A": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16, note=CIFAR_NOTE), "gpu": Scale({})},
)
