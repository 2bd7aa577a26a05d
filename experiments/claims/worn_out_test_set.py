"""Are the test images worn out?

python -m experiments.run worn_out_test_set
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_OVER_VALIDATION
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="The official test set is worn out: nets do better on it than on images that nobody "
    "chose them by.",
    chapter="Evaluation",
    order=9,
    source="lecture notes; the question of Recht et al. 2018",
    published="CIFAR-10.1: 4 to 10 points fewer on new images, the ranking the same (recalled)",
    contrary="Recht et al. 2018 put it down to harder images, not to re-use",
    cannot_show="new images: the 50,000 held out here are training images of the same collection",
    config="bn_lenet:fashion_mnist",
    variants={"bn_lenet": {"model.name": "bn_lenet"}},
    contrast={"bn_lenet": 1},
    measure=TEST_OVER_VALIDATION,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={"laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs.")},
)
