"""A deep ReLU net without norms needs He's initial weights.

python -m experiments.run he_start
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import TEST_ACCURACY, TRAIN_LOSS
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A plain ReLU net of 32 layers without norms needs He's initial weights, not "
    "Glorot's.",
    chapter="Activations",
    order=5,
    source="He et al. 2015, sec. 2.2, fig. 3",
    published="a net of 30 layers: with Glorot's weights the training completely stalls",
    contrary="the same paper: with 22 layers both train, 33.82 and 33.90 % top-1 error, and its 30 "
    "layers are worse than 14",
    cannot_show="nets with BatchNorm, see batchnorm_start",
    config="resnet20_cifar:mnist",
    variants={"glorot": {"model.initialiser": "glorot"}, "he": {"model.initialiser": "he"}},
    contrast={"he": 1, "glorot": -1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=5.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "model.name": "plain32_cifar",
                "model.norm": "none",
                "model.scan": True,
                "data.image_size": 16,
                "data.fit": "bilinear",
                "data.validation": 1_000.0,
                "epochs": 0.2,
                "eval_every_epochs": 0.2,
                "batch_size": 32,
                "optimizer.name": "momentum",
                "schedule.name": "cosine",
            },
            note="About 370 steps on digits of 16 pixels.",
        )
    },
    tuning=Tuning("optimizer.learning_rate", (0.003, 0.01, 0.03), TRAIN_LOSS, extensions=2),
)
