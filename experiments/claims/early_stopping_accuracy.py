"""Early stopping and test accuracy.

python -m experiments.run early_stopping_accuracy
"""

import dataclasses

from experiments.claims.early_stopping_loss import CLAIM as LOSS
from experiments.measures import STOPPED_ACCURACY
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    LOSS,
    statement="Stopping at the best validation accuracy raises the test accuracy of a net that "
    "overfits.",
    order=25,
    contrary="the loss of a net that overfits rises while its accuracy stays (Guo et al. 2017)",
    measure=STOPPED_ACCURACY,
    rule=Rule("greater", margin=0.5),
)
