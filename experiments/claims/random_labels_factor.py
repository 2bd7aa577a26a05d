"""Random labels take at most four times the steps of true ones.

python -m experiments.run random_labels_factor
"""

import dataclasses

from experiments.claims.random_labels_fitted import CLAIM as FITTED
from experiments.measures import steps_to
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    FITTED,
    statement="Random labels take at most four times the steps of true ones.",
    order=22,
    source="Zhang et al. 2017, sec. 2.2",
    published="a small constant factor; tested as: under four",
    contrary="none is known",
    contrast={"random": 1, "true": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("less", margin=1.15, threshold=4.0, ratio=True),
)
