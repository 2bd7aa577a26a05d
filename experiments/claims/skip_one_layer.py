"""Shortcuts around one layer, or around two.

python -m experiments.run skip_one_layer
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16_ONCE, CIFAR_ONCE_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A shortcut has to skip two layers: around every single one it costs accuracy.",
    chapter="ResNet",
    order=11,
    source="He et al. 2015, sec. 3.2",
    published="around a single layer: we have not observed advantages (no figure)",
    contrary="Zagoruyko & Komodakis 2016, table 3: WRN-40-2 with blocks of 1 layer 6.69, of 2 5.43 "
    "% error, so that it trains well too (recalled)",
    cannot_show="deep nets and long schedules",
    config="resnet20_cifar:cifar10",
    variants={"two": {"model.block": "basic"}, "one": {"model.block": "one_layer"}},
    contrast={"one": 1, "two": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.75),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16_ONCE, note=CIFAR_ONCE_NOTE), "gpu": Scale({})},
)
