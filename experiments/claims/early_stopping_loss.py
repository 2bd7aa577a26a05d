"""Early stopping and the test loss.

python -m experiments.run early_stopping_loss
"""

from experiments.claim import Claim, Scale
from experiments.measures import STOPPED_LOSS
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Stopping at the best validation accuracy lowers the test loss of a net that "
    "overfits.",
    chapter="Regularisation",
    order=24,
    source="lecture notes; Prechelt 1998",
    published="no figure",
    contrary="with a rate that falls to zero the last weights are mostly the best",
    cannot_show="the time that is saved; schedules that end",
    config="mlp:fashion_mnist",
    variants={"mlp": {"model.name": "mlp"}},
    contrast={"mlp": 1},
    measure=STOPPED_LOSS,
    rule=Rule("less", margin=0.02),
    seeds=8,
    scales={
        "laptop": Scale(
            {
                "epochs": 40.0,
                "eval_every_epochs": 2.0,
                "data.validation": 55_000.0,
                "schedule.name": "constant",
            },
            note="5,000 training images, 40 epochs at a constant rate, an evaluation every two.",
        )
    },
    probe="experiments.probes.last_weights:test_figures",
)
