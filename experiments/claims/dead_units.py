"""A high rate kills ReLU units.

python -m experiments.run dead_units
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A high rate kills units: ten times the rate, more ReLUs that no image activates.",
    chapter="Activations",
    order=6,
    source="Karpathy, CS231n notes, Neural networks part 1, ReLU",
    published="as much as 40 % of a net can be dead if the rate is too high (no experiment)",
    contrary="with BatchNorm, or a warm-up, few units die",
    cannot_show="deep nets; units that are dead for training images alone",
    config="lenet5:fashion_mnist",
    variants={
        "0.01": {"optimizer.learning_rate": 0.01},
        "0.1": {"optimizer.learning_rate": 0.1},
    },
    contrast={"0.1": 1, "0.01": -1},
    measure=probed("dead units", "% of units", 100.0, "less"),
    rule=Rule("greater", margin=2.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                **FASHION_10K,
                "model.activation": "relu",
                "model.pooling": "max",
                "optimizer.name": "momentum",
                "schedule.name": "constant",
            },
            note="10,000 training images, 5 epochs, momentum 0.9; a diverged net is dead.",
        )
    },
    probe="experiments.probes.last_weights:dead_units",
)
