"""One temperature, fitted on validation, halves the calibration error at least.

python -m experiments.run temperature_scaling
"""

import dataclasses

from experiments.claims.confidence_is_probability import CLAIM as CONFIDENCE
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    CONFIDENCE,
    statement="One temperature, fitted on validation, halves the calibration error at least.",
    order=2,
    source="Guo et al. 2017, table 1",
    published="ResNet-110 on CIFAR-10: 4.6 to 0.8 points (recalled)",
    contrary="none is known",
    cannot_show="shifted test images, where it helps less",
    measure=probed("calibration error, scaled over plain", "ratio", 1.0, "less"),
    rule=Rule("less", margin=1.0, threshold=0.5, ratio=True),
)
