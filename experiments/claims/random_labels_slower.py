"""Random labels take more steps to fit than true ones.

python -m experiments.run random_labels_slower
"""

import dataclasses

from experiments.claims.random_labels_fitted import CLAIM as FITTED
from experiments.measures import steps_to
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    FITTED,
    statement="Random labels take more steps to fit than true ones.",
    order=21,
    source="Zhang et al. 2017, sec. 2.2",
    published="training takes a small constant factor longer on random labels",
    contrary="none is known",
    contrast={"random": 1, "true": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("greater", margin=1.15, ratio=True),
)
