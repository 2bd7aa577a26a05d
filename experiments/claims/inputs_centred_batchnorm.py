"""With BatchNorm inputs need not be centred.

python -m experiments.run inputs_centred_batchnorm
"""

import dataclasses

from experiments.claims.inputs_centred import CLAIM as CENTRED

CLAIM = dataclasses.replace(
    CENTRED,
    statement="With BatchNorm, too, inputs must be centred and scaled.",
    chapter="BatchNorm",
    order=10,
    published="convergence is usually faster with centred inputs (no figure); with BatchNorm no "
    "effect is expected",
    contrary="the first norm centres and scales what the first layer makes of any input",
    config="bn_lenet:mnist",
)
