"""Weights of distant images are better than none.

python -m experiments.run distant_source
"""

import dataclasses

from experiments.claims.similar_source import CLAIM as SIMILAR
from experiments.measures import probed

CLAIM = dataclasses.replace(
    SIMILAR,
    statement="Even distant weights beat random ones: digits for clothes.",
    order=10,
    source="Yosinski et al. 2014, abstract",
    published="initialising with transferred features improves even after fine-tuning (figures)",
    contrary="Raghu et al. 2019: for medical images weights of photographs bring little (recalled)",
    measure=probed("different less scratch", "points", 0.0),
)
