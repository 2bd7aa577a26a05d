"""Large batches generalise worse even after as many steps.

python -m experiments.run large_batch_equal_steps
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Large batches generalise worse even after as many steps.",
    chapter="Optimisation",
    source="Keskar et al. 2017 (recalled)",
    published="the gap of large batches does not close with training",
    contrary="Hoffer et al. 2017: train longer, generalise better (recalled)",
    cannot_show="rates tuned for each batch",
    config="bn_lenet:fashion_mnist",
    variants={
        "64": {"batch_size": 64, "epochs": 3.0, "eval_every_epochs": 3.0},
        "512": {"batch_size": 512, "epochs": 24.0, "eval_every_epochs": 24.0},
    },
    contrast={"512": 1, "64": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "data.validation": 55_000.0,
                "optimizer.name": "momentum",
                "optimizer.learning_rate": 0.03,
                "schedule.name": "constant",
            },
            note="5,000 training images, 234 and 216 steps.",
        )
    },
    bundle="the batch, and the epochs that make the steps equal",
)
