"""Max-pooling makes a net more stable under shifts than average pooling.

python -m experiments.run max_pooling_shifts
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Max-pooling makes a net more stable under shifts than average pooling.",
    chapter="Evaluation",
    order=4,
    source="lecture notes",
    published="no figure",
    contrary=("Zhang 2019: strided max-pooling aliases, blurred pooling is more stable (recalled)"),
    cannot_show="nets trained with shifts",
    config="lenet5:fashion_mnist",
    variants={"avg": {"model.pooling": "avg"}, "max": {"model.pooling": "max"}},
    contrast={"max": 1, "avg": -1},
    measure=probed("changed by 1 px", "% of answers", 90.0, "less"),
    rule=Rule("less", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            FASHION_10K,
            note="2,000 test images moved to the right; 10,000 training images, 5 epochs.",
        )
    },
    probe="experiments.probes.trained:shifts",
)
