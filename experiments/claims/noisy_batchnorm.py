"""BatchNorm with shift put back after it still beats no norm.

python -m experiments.run noisy_batchnorm
"""

import dataclasses

from experiments.claims.covariate_shift import CLAIM as SHIFT

CLAIM = dataclasses.replace(
    SHIFT,
    statement="BatchNorm with shift put back after it still beats a net without norm, at a high "
    "rate.",
    order=7,
    source="Santurkar et al. 2018, sec. 2.2, fig. 2",
    published="a VGG with noisy BatchNorm is far ahead of one without norm (a figure alone)",
    contrary="Ioffe & Szegedy 2015: the shift is what BatchNorm has to remove",
    contrast={"batch_noise": 1, "none": -1},
)
