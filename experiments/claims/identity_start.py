"""Residual blocks that start as the identity train to a lower loss.

python -m experiments.run identity_start
"""

from experiments.claim import Claim, Scale
from experiments.measures import TRAIN_LOSS
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Residual blocks that start as the identity train to a lower loss.",
    chapter="ResNet",
    order=7,
    source="Goyal et al. 2017, sec. 5.1",
    published=(
        "the last scale of every block at zero improves all models, by small amounts, at "
        "large batches (no figure)"
    ),
    contrary="none is known",
    cannot_show="large batches, for which it was proposed",
    config="resnet20_cifar:cifar10",
    variants={"one": {"model.zero_init": False}, "zero": {"model.zero_init": True}},
    contrast={"zero": 1, "one": -1},
    measure=TRAIN_LOSS,
    rule=Rule("less", margin=0.03),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16, note=CIFAR_NOTE), "gpu": Scale({})},
)
