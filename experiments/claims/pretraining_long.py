"""The gain of pre-training shrinks with the epochs.

python -m experiments.run pretraining_long
"""

import dataclasses

from experiments.claims.early_layers_general import CLAIM as LAYERS
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    LAYERS,
    statement="The gain of pre-training shrinks with the epochs.",
    order=8,
    source="He et al. 2019 (Rethinking ImageNet pre-training)",
    published="from scratch catches up, given a longer schedule (recalled)",
    contrary="with few images it does not catch up",
    measure=probed("gain, short less long", "points", 0.0),
    rule=Rule("greater", margin=1.0),
)
