"""Bottlenecks of 256 channels against two 3x3 of 64.

python -m experiments.run bottlenecks_economical
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A bottleneck of 256 channels needs no more work than two 3x3 of 64.",
    chapter="ResNet",
    order=12,
    source="He et al. 2015, sec. 4.1, fig. 5",
    published="both designs have similar time complexity",
    contrary="four times the channels between the blocks take four times the memory",
    cannot_show="accuracy and time; a count, the same for every seed",
    config="resnet50:imagenet2012",
    variants={"3x3": {"model.name": "resnet34"}, "bottleneck": {"model.name": "resnet50"}},
    contrast={"bottleneck": 1, "3x3": -1},
    measure=probed("multiply-adds", "numbers", better="less"),
    rule=Rule("less", margin=1.01, threshold=1.0, ratio=True),
    seeds=6,
    scales={"laptop": Scale({}, note="Counts: the second block of the first stage.")},
    probe="experiments.probes.counts:first_block",
    trained=False,
)
