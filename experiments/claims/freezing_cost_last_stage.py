"""A step that trains the last stage and head alone costs at most 0.60 of one that trains all.

python -m experiments.run freezing_cost_last_stage
"""

import dataclasses

from experiments.claims.freezing_cost_head import CLAIM as HEAD
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    HEAD,
    statement=(
        "A step that trains the last stage and head alone costs at most 0.60 of one that "
        "trains all."
    ),
    published="a share of 0.60",
    measure=probed("last stage and head", "of a whole step", 1.0, "less"),
    rule=Rule("less", margin=0.0, threshold=0.6),
)
