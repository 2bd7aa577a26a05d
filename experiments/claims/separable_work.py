"""Depthwise separable convolutions, counted.

python -m experiments.run separable_work
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="With separable blocks ResNet-20 has under a fifth of its multiply-adds.",
    chapter="Modern blocks",
    order=2,
    source="Howard et al. 2017, sec. 3.1 and table 4",
    published="1/N + 1/9 of the work of a 3x3 to N maps: 569 for 4,866 M",
    contrary="none is known",
    cannot_show="time, which is bound by memory; a count, the same for every seed",
    config="resnet20_cifar:cifar10",
    variants={"3x3": {"model.block": "basic"}, "separable": {"model.block": "separable"}},
    contrast={"separable": 1, "3x3": -1},
    measure=probed("multiply-adds", "numbers", better="less"),
    rule=Rule("less", margin=1.01, threshold=0.2, ratio=True),
    seeds=6,
    scales={"laptop": Scale({}, note="Counts.")},
    probe="experiments.probes.counts:whole_net",
    trained=False,
)
