"""Guided backpropagation and the weights.

python -m experiments.run guided_sanity
"""

import dataclasses

from experiments.claims.grad_cam_sanity import CLAIM as GRAD_CAM
from experiments.measures import probed

CLAIM = dataclasses.replace(
    GRAD_CAM,
    statement="Guided backpropagation shows what the net has learnt: a random net's maps correlate "
    "with it by under 0.3.",
    order=2,
    source="lecture notes",
    published="its pictures are the sharpest (no figure)",
    contrary="Adebayo et al. 2018: it fails the sanity checks, and draws the image's edges",
    measure=probed("guided, rank correlation", "of ranks", better="less"),
)
