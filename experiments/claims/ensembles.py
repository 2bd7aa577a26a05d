"""Three nets together beat one.

python -m experiments.run ensembles
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="The mean of three nets' probabilities beats one net.",
    chapter="Evaluation",
    order=6,
    source="Krizhevsky et al. 2012, table 2; Szegedy et al. 2015, table 3",
    published="AlexNet, five nets: top-1 error 40.7 to 38.1 % (recalled)",
    contrary="none is known; nets that differ little gain little",
    cannot_show="one net of three times the size, or of three times the training",
    config="bn_lenet:fashion_mnist",
    variants={"ensemble": {"model.name": "bn_lenet"}},
    contrast={"ensemble": 1},
    measure=probed("gain over the mean", "points", 0.0),
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={
        "laptop": Scale(
            FASHION_10K,
            note="Three nets of other seeds on the same 10,000 images; accuracy on test.",
        )
    },
    probe="experiments.probes.members:ensemble",
    trained=False,
)
