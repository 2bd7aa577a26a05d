"""Half of the labels drawn at random: what is left.

python -m experiments.run wrong_labels
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="With half of its training labels drawn at random a net loses less than ten points.",
    chapter="Regularisation",
    order=23,
    source="Mishkin et al. 2017, table of noisy labels",
    published="ImageNet at 128 px: 47.1 %, with 5 % of wrong labels 45.8, 10 % 44.7, 50 % 34.7 %",
    contrary="nets fit random labels to the last one, given the epochs (Zhang et al. 2017)",
    cannot_show="long training, in which the wrong labels are learnt; errors that are not random",
    config="bn_lenet:fashion_mnist",
    variants={"true": {"data.random_labels": 0.0}, "half": {"data.random_labels": 0.5}},
    contrast={"half": 1, "true": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.0, threshold=-10.0),
    seeds=6,
    scales={
        "laptop": Scale(
            FASHION_10K,
            note="10,000 training images, 5 epochs; a label that is drawn may be the right one.",
        ),
        "gpu": Scale(FASHION_ALL),
    },
)
