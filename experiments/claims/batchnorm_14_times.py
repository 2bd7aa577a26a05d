"""BatchNorm makes training 14 times faster.

python -m experiments.run batchnorm_14_times
"""

import dataclasses

from experiments.claims.batchnorm_faster import CLAIM as FASTER
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    FASTER,
    statement="BatchNorm makes training 14 times faster.",
    order=2,
    source="Ioffe & Szegedy 2015, abstract and sec. 4.2.2",
    published="14 times fewer steps: 31.0 / 2.1 M",
    contrary=(
        "that is BN-x5, with five times the rate, no dropout, less decay and no LRN; "
        "BatchNorm alone is 31.0 / 13.3 = 2.3 times"
    ),
    cannot_show="Inception on ImageNet",
    rule=Rule("greater", margin=1.15, threshold=14.0, ratio=True),
)
