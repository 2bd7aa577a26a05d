"""A net that a laptop trains in a quarter of an hour reads 99.6 % of MNIST's test images.

python -m experiments.run mnist_laptop
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_ACCURACY
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "A net that a laptop trains in a quarter of an hour reads 99.6 % of MNIST's test images."
    ),
    chapter="LeNet",
    source="configs/simple_cnn.py:laptop, after An et al. 2020 (arXiv 2008.10400)",
    published="up to 99.87 % by the vote of three nets after 150 epochs (abstract)",
    contrary=(
        "LeNet-5 as it is taught: 99.12 % (README); the paper's figures are of the best epoch on "
        "test"
    ),
    cannot_show="one recipe; 0.1 points are ten images, of which some have a doubtful label",
    config="simple_cnn:laptop:mnist",
    variants={"m5": {"model.name": "simple_cnn_m5"}},
    contrast={"m5": 1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=0.0, threshold=99.6, sides=1),
    seeds=5,
    scales={"laptop": Scale({}, note="60,000 images, 15 epochs; the last epoch counts.")},
)
