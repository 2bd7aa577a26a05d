"""A cosine against exponential decay.

python -m experiments.run cosine_beats_exponential
"""

import dataclasses

from experiments.claims.decaying_rate import CLAIM as DECAY
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    DECAY,
    statement="A cosine beats exponential decay (0.7 an epoch).",
    order=11,
    source="Loshchilov & Hutter 2017 (SGDR); lecture notes",
    published="hysts: a pre-activation ResNet of 56 layers 5.85 to 5.72 % error, steps to cosine",
    contrary="which decay it is matters less than that there is one",
    variants={"0.7": {"schedule.gamma": 0.7}, "cosine": {"schedule.name": "cosine"}},
    contrast={"cosine": 1, "0.7": -1},
    rule=Rule("greater", margin=0.3),
    seeds=8,
    bundle="one schedule in place of the other",
)
