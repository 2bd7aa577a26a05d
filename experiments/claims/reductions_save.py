"""1x1 reductions and GoogLeNet's work.

python -m experiments.run reductions_save
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="1x1 reductions more than halve the multiply-adds of GoogLeNet's modules.",
    chapter="GoogLeNet",
    order=1,
    source="Szegedy et al. 2015, sec. 4 and fig. 2",
    published="without them even a few 5x5 are prohibitively expensive (no figure)",
    contrary="none is known",
    cannot_show="accuracy; the channels of a net without them would not stay as they are",
    config="googlenet:imagenet2012",
    variants={"googlenet": {"model.name": "googlenet"}},
    contrast={"googlenet": 1},
    measure=probed("reduced over naive", "of the naive modules", better="less"),
    rule=Rule("less", margin=1.01, threshold=0.5, ratio=True),
    seeds=6,
    scales={"laptop": Scale({}, note="Counts, over the nine modules of table 1.")},
    probe="experiments.probes.counts:reductions",
    trained=False,
)
