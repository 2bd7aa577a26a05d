"""A high rate ends with a higher loss than a low one.

python -m experiments.run high_rate_last
"""

import dataclasses

from experiments.claims.high_rate_first import CLAIM as FIRST
from experiments.measures import TRAIN_LOSS
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    FIRST,
    statement="A high rate, kept constant, gets stuck at a higher training loss than a low one.",
    order=8,
    published="high rates decay the loss faster, but get stuck at worse values (a sketch)",
    contrary="in short training the low rate is not there yet",
    measure=TRAIN_LOSS,
    rule=Rule("greater", margin=0.02),
)
