"""Inputs that are centred and scaled train in fewer steps, at each its best rate.

python -m experiments.run inputs_centred
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import TRAIN_LOSS, steps_to
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("Inputs that are centred and scaled train in fewer steps, at each its best rate."),
    chapter="Perceptron",
    order=3,
    source="LeCun et al. 1998, Efficient BackProp, sec. 4.3",
    published=(
        "convergence is usually faster if the average of each input over the training set is "
        "close to zero (no figure)"
    ),
    contrary="Mishkin et al. 2017: with BatchNorm on the input raw images do as well",
    cannot_show="grey levels from 0 to 255, which need a far smaller rate: here 0 to 1",
    config="lenet5:mnist",
    variants={
        "0 to 1": {"data.normalisation": "none"},
        "standardised": {"data.normalisation": "per_channel"},
    },
    contrast={"standardised": 1, "0 to 1": -1},
    measure=steps_to("loss", 0.3),
    rule=Rule("less", margin=1.15, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                3.0,
                data__validation=40_000.0,
                log_every_steps=5,
                optimizer__name="sgd",
                schedule__name="constant",
                average_decay=0.0,
            ),
            note="20,000 training images, plain SGD.",
        )
    },
    tuning=Tuning("optimizer.learning_rate", (0.02, 0.06, 0.2, 0.6), TRAIN_LOSS),
)
