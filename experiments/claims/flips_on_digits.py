"""Mirror images, an augmentation that changes labels, hurt on digits.

python -m experiments.run flips_on_digits
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Mirror images, an augmentation that changes labels, hurt on digits.",
    chapter="LeNet",
    order=3,
    source=("this project's own search over policies (results/augmentation), lecture notes"),
    published=(
        "horizontal flips 89.1 % where nothing gives 91.6 % after as many steps (MNIST, 2,000 "
        "images)"
    ),
    contrary="on photographs flips are a part of nearly every recipe",
    cannot_show="which digits are confused",
    config="lenet5:mnist",
    variants={"none": {"augment": ()}, "flips": {"augment": ("horizontal_flip",)}},
    contrast={"flips": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.3),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(20.0, data__validation=58_000.0),
            note="2,000 training images, 20 epochs; 68,000 held out.",
        )
    },
)
