"""Squeeze-and-excitation gates add accuracy.

python -m experiments.run se_gates
"""

import dataclasses

from experiments.claims.cbam_gates import CLAIM as CBAM

CLAIM = dataclasses.replace(
    CBAM,
    statement="Squeeze-and-excitation gates add accuracy.",
    published="24.56 to 23.14 % top-1 error",
    variants={"none": {"model.attention": "none"}, "se": {"model.attention": "se"}},
    contrast={"se": 1, "none": -1},
)
