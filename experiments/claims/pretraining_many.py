"""Pre-training always helps: with 5,000 images, too.

python -m experiments.run pretraining_many
"""

import dataclasses

from experiments.claims.early_layers_general import CLAIM as LAYERS
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    LAYERS,
    statement="Pre-training always helps: with 5,000 images, too.",
    order=7,
    source="lecture notes",
    published="no figure",
    contrary="He et al. 2019: on enough images training from scratch catches up (recalled)",
    measure=probed("gain, many", "points", 0.0),
    rule=Rule("greater", margin=1.0),
)
