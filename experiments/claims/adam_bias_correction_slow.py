"""Adam needs bias correction where beta2 is 0.9999.

python -m experiments.run adam_bias_correction_slow
"""

import dataclasses

from experiments.claim import Scale
from experiments.claims.adam_bias_correction import CLAIM as AT_0_999

LAPTOP = AT_0_999.scales["laptop"]
CLAIM = dataclasses.replace(
    AT_0_999,
    statement="Adam needs bias correction where beta2 is 0.9999.",
    order=6,
    scales={"laptop": Scale({**LAPTOP.changes, "optimizer.b2": 0.9999}, note=LAPTOP.note)},
)
