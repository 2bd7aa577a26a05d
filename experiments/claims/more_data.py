"""Four times the images are worth more than twice the epochs.

python -m experiments.run more_data
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_ACCURACY
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Four times the images are worth more than twice the epochs.",
    chapter="LeNet",
    order=4,
    source="Mishkin et al. 2017, table of data sizes",
    published="ImageNet at 128 px: 1.2 M images 47.1 %, 400,000 39.3 %, 200,000 30.5 %",
    contrary="the gain for each doubling shrinks",
    cannot_show=(
        "one net, one set and one size of training set; four times the images also make four "
        "times the steps an epoch, against twice"
    ),
    config="lenet5:fashion_mnist",
    variants={
        "2,500, twice the epochs": {
            "epochs": 20.0,
            "eval_every_epochs": 20.0,
            "data.validation": 57_500.0,
        },
        "10,000": {"epochs": 10.0, "eval_every_epochs": 10.0, "data.validation": 50_000.0},
    },
    contrast={"10,000": 1, "2,500, twice the epochs": -1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={"laptop": Scale({}, note="Accuracy on the 10,000 test images.")},
    bundle="the number of images and of epochs are what is weighed",
)
