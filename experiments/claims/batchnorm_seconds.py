"""BatchNorm and the seconds to a target.

python -m experiments.run batchnorm_seconds
"""

from experiments.claim import Claim, Scale, Tuning
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="BatchNorm reaches 85 % in less time, at each its best rate.",
    chapter="BatchNorm",
    order=12,
    source="Ioffe & Szegedy 2015, abstract",
    published="14 times fewer steps; of seconds the paper says nothing",
    contrary="a step with BatchNorm costs more: the fewer steps have to pay for it",
    cannot_show="accelerators, where the share of BatchNorm in a step is another",
    config="bn_lenet:fashion_mnist",
    variants={"none": {"model.norm": "none"}, "batch": {"model.norm": "batch"}},
    contrast={"batch": 1, "none": -1},
    measure=probed("processor seconds", "s", 1e4, "less"),
    rule=Rule("less", margin=1.15, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {
                "epochs": 4.0,
                "eval_every_epochs": 0.1,
                "data.validation": 5_000.0,
                "optimizer.name": "momentum",
                "schedule.name": "constant",
                "batch_size": 128,
            },
            note="5,000 validation images, every tenth of an epoch; evaluation takes no time.",
        )
    },
    tuning=Tuning(
        "optimizer.learning_rate",
        (0.01, 0.03, 0.1, 0.3),
        probed("steps", "steps", 1e6, "less"),
        extensions=2,
    ),
    probe="experiments.probes.target:accuracy_85",
    trained=False,
)
