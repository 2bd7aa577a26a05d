"""Elastic distortions help LeNet-5 on digits.

python -m experiments.run elastic_distortions
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Elastic distortions help LeNet-5 on digits.",
    chapter="LeNet",
    order=2,
    source="Simard, Steinkraus, Platt 2003, table 1",
    published=(
        "a convolutional net 0.4 % error on MNIST with them, 0.6 % with affine ones (recalled)"
    ),
    contrary=(
        "the gain shrinks with the number of images: LeCun et al. 1998 go from 0.95 to 0.8 % "
        "with all of MNIST"
    ),
    cannot_show="2,000 images for training, not 60,000",
    config="lenet5:mnist",
    variants={"none": {"augment": ()}, "elastic": {"augment": ("elastic(34, 4)",)}},
    contrast={"elastic": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(20.0, data__validation=58_000.0),
            note="2,000 training images, 20 epochs; 68,000 held out.",
        ),
        "gpu": Scale(last_epoch(20.0)),
    },
)
