"""Auxiliary heads speed up the start of training.

python -m experiments.run auxiliary_heads
"""

from experiments.claim import Claim, Deviation, Scale
from experiments.measures import steps_to
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Auxiliary heads speed up the start of training.",
    chapter="GoogLeNet",
    source="Szegedy et al. 2015, sec. 5",
    published=(
        "they carry gradient to the lower layers; a final effect of about half a point (recalled)"
    ),
    contrary=(
        "Szegedy et al. 2016, sec. 4: no improved convergence early in the training, the "
        "curves look virtually identical"
    ),
    cannot_show="the end of a long training, where the heads regularise",
    config="googlenet:cifar10",
    variants={
        "without": {"loss.auxiliary_weights": (0.0, 0.0)},
        "with": {"loss.auxiliary_weights": (0.3, 0.3)},
    },
    contrast={"with": 1, "without": -1},
    measure=steps_to("validation/accuracy", 0.5),
    rule=Rule("less", margin=1.1, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {"epochs": 15.0, "eval_every_epochs": 0.5, "average_decay": 0.0},
            config="googlenet:digits",
            note="1,293 digits at 32 pixels, 144 for validation, every half epoch.",
        ),
        "gpu": Scale(
            {
                "epochs": 10.0,
                "eval_every_epochs": 0.25,
                "data.image_size": 64,
                "data.fit": "bilinear",
                "data.validation": 5_000.0,
            },
            note="45,000 images enlarged to 64 pixels; steps to 50 % validation accuracy.",
        ),
    },
    deviations=(
        Deviation(
            "2026-11-27",
            "15 epochs and an evaluation every half of one, where they had been 2.5 and a quarter: "
            "all twelve runs had ended before the target",
        ),
    ),
)
