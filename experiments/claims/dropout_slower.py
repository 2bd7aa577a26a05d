"""Dropout doubles the steps to a training loss.

python -m experiments.run dropout_slower
"""

from experiments.claim import Claim, Scale
from experiments.measures import steps_to
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Dropout doubles the steps to a training loss.",
    chapter="Regularisation",
    order=3,
    source="Krizhevsky et al. 2012, sec. 4.2",
    published="roughly doubles the number of iterations to converge",
    contrary="it depends on the target",
    cannot_show="the loss is measured with dropout, as training sees it",
    config="lenet5:fashion_mnist",
    variants={"none": {"model.dropout": 0.0}, "half": {"model.dropout": 0.5}},
    contrast={"half": 1, "none": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("greater", margin=1.15, threshold=1.5, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                10.0,
                data__validation=55_000.0,
                model__name="mlp",
                log_every_steps=5,
                schedule__gamma=1.0,
            ),
            note="5,000 training images, 300 hidden units; roughly twice is taken as 1.5 or more.",
        )
    },
)
