"""BatchNorm makes training 14 times faster.

python -m experiments.run batchnorm_14_times
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import TRAIN_LOSS, steps_to
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm makes training 14 times faster.",
    chapter="BatchNorm",
    order=2,
    source="Ioffe & Szegedy 2015, abstract and sec. 4.2.2",
    published="14 times fewer steps: 31.0 / 2.1 M",
    contrary=(
        "that is BN-x5, with five times the rate, no dropout, less decay and no LRN; "
        "BatchNorm alone is 31.0 / 13.3 = 2.3 times"
    ),
    cannot_show="Inception on ImageNet",
    config="bn_lenet:fashion_mnist",
    variants={"none": {"model.norm": "none"}, "batch": {"model.norm": "batch"}},
    contrast={"none": 1, "batch": -1},
    measure=steps_to("validation/accuracy", 0.85),
    rule=Rule("greater", margin=1.15, threshold=14.0, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "epochs": 4.0,
                "eval_every_epochs": 0.1,
                "data.validation": 5_000.0,
                "optimizer.name": "momentum",
                "schedule.name": "constant",
                "log_every_steps": 0,
                "batch_size": 128,
            },
            note="ReLU and maximum pooling; 5,000 validation images, every tenth of an epoch.",
        )
    },
    tuning=Tuning("optimizer.learning_rate", (0.01, 0.03, 0.1, 0.3), TRAIN_LOSS),
)
