"""Dropout 0.5 against 0.2.

python -m experiments.run dropout_small
"""

import dataclasses

from experiments.claims.dropout_half import CLAIM as HALF

CLAIM = dataclasses.replace(
    HALF,
    statement="Dropout 0.5 is a better rate than 0.2.",
    order=5,
    source="Krizhevsky et al. 2012, sec. 4.2; Hinton et al. 2012",
    published="0.5 in every example (no figure of another rate)",
    contrary="Mishkin et al. 2017: 0.5 47.1, 0.3 49.7, 0.1 47.3 %",
    variants={"0.2": {"model.dropout": 0.2}, "0.5": {"model.dropout": 0.5}},
    contrast={"0.5": 1, "0.2": -1},
)
