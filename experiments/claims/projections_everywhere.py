"""Projections in every shortcut (C) against identity (A).

python -m experiments.run projections_everywhere
"""

import dataclasses

from experiments.claims.projection_shortcuts import CLAIM as PROJECTIONS

CLAIM = dataclasses.replace(
    PROJECTIONS,
    statement="Projections in every shortcut (C) beat identity (A).",
    order=8,
    variants={"A": {"model.shortcut": "A"}, "C": {"model.shortcut": "C"}},
    contrast={"C": 1, "A": -1},
)
