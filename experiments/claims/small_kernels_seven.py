"""Three 3x3 convolutions beat one 7x7.

python -m experiments.run small_kernels_seven
"""

import dataclasses

from experiments.claim import Scale
from experiments.claims.small_kernels import CLAIM as PAIRS
from experiments.scales import VGG_THIN

CLAIM = dataclasses.replace(
    PAIRS,
    statement="Stacks of three 3x3 convolutions beat one 7x7.",
    order=4,
    source="Simonyan & Zisserman 2015, sec. 2.3; lecture notes",
    published="a more discriminative function with fewer weights (no figure)",
    contrary="the comparison also divides the depth by three",
    cannot_show="kernels at equal depth; blocks 1 and 2 have pairs, and 5x5 in their place",
    scales={"laptop": Scale({**VGG_THIN.changes, "model.name": "vgg16_bn"}, note=VGG_THIN.note)},
)
