"""Weights of other classes help where there are 200 images.

python -m experiments.run pretraining_few
"""

import dataclasses

from experiments.claims.early_layers_general import CLAIM as LAYERS
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    LAYERS,
    statement="Weights of other classes help where there are 200 images.",
    order=6,
    source="lecture notes",
    published="no figure",
    contrary="the classes must have something in common",
    measure=probed("gain", "points", 0.0),
    rule=Rule("greater", margin=1.0),
)
