"""Without bias correction Adam's first steps raise the loss (beta2 0.999).

python -m experiments.run adam_bias_correction
"""

from experiments.claim import Claim, Scale
from experiments.measures import largest_loss
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Adam needs bias correction: without it the loss leaps in the first steps "
    "(beta2 0.999).",
    chapter="Optimisation",
    order=4,
    source="Kingma & Ba 2015, sec. 6.4, fig. 4",
    published="values of beta2 near 1 lead to instabilities without it, in the first epochs most "
    "(a figure alone, of a variational autoencoder)",
    contrary="a warm-up of the rate does the same job (recalled); at beta2 0.9 to 0.99 nothing is "
    "seen",
    cannot_show="deep nets, and the end of training",
    config="lenet5:mnist",
    variants={
        "with": {"optimizer.bias_correction": True},
        "without": {"optimizer.bias_correction": False},
    },
    contrast={"without": 1, "with": -1},
    measure=largest_loss(100),
    rule=Rule("greater", margin=1.2, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "epochs": 0.12,
                "eval_every_epochs": 0.12,
                "log_every_steps": 1,
                "optimizer.learning_rate": 1e-3,
                "schedule.name": "constant",
                "average_decay": 0.0,
                "optimizer.b2": 0.999,
            },
            note="A hundred steps of 64 images at 1e-3, the loss of every one.",
        )
    },
)
