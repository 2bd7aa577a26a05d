"""Convolutional nets are invariant to translation: one pixel changes under 1 % of answers.

python -m experiments.run translation_invariance
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "Convolutional nets are invariant to translation: one pixel changes under 1 % of answers."
    ),
    chapter="Evaluation",
    order=3,
    source="lecture notes, of pooling",
    published="no figure",
    contrary="Azulay & Weiss 2018, Zhang 2019: one pixel can change the answer (recalled)",
    cannot_show="nets trained with shifts",
    config="lenet5:fashion_mnist",
    variants={"lenet5": {"model.name": "lenet5"}},
    contrast={"lenet5": 1},
    measure=probed("changed by 1 px", "% of answers", 90.0, "less"),
    rule=Rule("less", margin=0.0, threshold=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            FASHION_10K,
            note="2,000 test images moved to the right; 10,000 training images, 5 epochs.",
        )
    },
    probe="experiments.probes.trained:shifts",
)
