"""BatchNorm and the seconds to a target.

python -m experiments.run batchnorm_seconds
"""

import dataclasses

from experiments.claim import Tuning
from experiments.claims.batchnorm_faster import CLAIM as FASTER
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    FASTER,
    statement="BatchNorm reaches 85 % in less time, at each its best rate.",
    order=12,
    source="Ioffe & Szegedy 2015, abstract",
    published="14 times fewer steps; of seconds the paper says nothing",
    contrary="a step with BatchNorm costs more: the fewer steps have to pay for it",
    cannot_show="accelerators, where the share of BatchNorm in a step is another",
    contrast={"batch": 1, "none": -1},
    measure=probed("processor seconds", "s", 1e4, "less"),
    rule=Rule("less", margin=1.15, ratio=True),
    tuning=Tuning(
        "optimizer.learning_rate",
        (0.01, 0.03, 0.1, 0.3),
        probed("steps", "steps", 1e6, "less"),
        extensions=2,
    ),
    probe="experiments.probes.target:accuracy_85",
    trained=False,
)
