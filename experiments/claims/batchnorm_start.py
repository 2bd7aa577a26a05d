"""With BatchNorm a deep net does not care for its initial weights.

python -m experiments.run batchnorm_start
"""

import dataclasses

from experiments.claim import Scale
from experiments.claims.he_start import CLAIM as HE_START
from experiments.statistics import Rule

LAPTOP = HE_START.scales["laptop"]
CLAIM = dataclasses.replace(
    HE_START,
    statement="With BatchNorm, too, a plain net of 32 layers needs He's initial weights.",
    chapter="BatchNorm",
    order=5,
    source="Ioffe & Szegedy 2015, abstract",
    published="BatchNorm lets us be less careful about initialization (no figure): no effect is "
    "expected",
    contrary="none is known",
    cannot_show="initial weights that differ by more than a factor of 1.4",
    rule=Rule("greater", margin=2.0),
    scales={
        "laptop": Scale(
            {**LAPTOP.changes, "model.norm": "batch", "optimizer.learning_rate": 0.03},
            note=LAPTOP.note,
        )
    },
    tuning=None,
)
