"""Where the work of a classic net is.

python -m experiments.run dense_layers_compute
"""

import dataclasses

from experiments.claims.dense_layers_weigh import CLAIM as WEIGH
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    WEIGH,
    statement="Under a tenth of VGG-16's multiply-adds are in its dense layers.",
    order=3,
    source="lecture notes",
    published="nearly all of the work is in the convolutions (no figure)",
    contrary="none is known",
    measure=probed("multiply-adds in dense layers", "% of all", better="less"),
    rule=Rule("less", margin=0.0, threshold=10.0),
)
