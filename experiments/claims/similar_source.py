"""Weights of similar images are better.

python -m experiments.run similar_source
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Weights of similar images are better than of different ones: clothes for clothes, "
    "not digits.",
    chapter="Transfer",
    order=9,
    source="Yosinski et al. 2014, fig. 2, bottom; lecture notes",
    published="the more distant the sources's classes, the worse (a figure)",
    contrary="they find even distant weights better than random ones",
    cannot_show="photographs, and more than 200 images",
    config="bn_lenet:fashion_mnist",
    variants={"sources": {"model.name": "bn_lenet"}},
    contrast={"sources": 1},
    measure=probed("similar less different", "points", 0.0),
    rule=Rule("greater", margin=1.0),
    seeds=8,
    scales={
        "laptop": Scale(
            last_epoch(3.0, data__validation=30_000.0),
            note="Five classes of 30,000 images, then five others by 200 images, 10 epochs.",
        )
    },
    probe="experiments.probes.similarity:sources",
    trained=False,
)
