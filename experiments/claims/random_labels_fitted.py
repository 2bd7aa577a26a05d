"""A small net fits labels that are drawn at random.

python -m experiments.run random_labels_fitted
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="LeNet-5 fits random labels: 99 % of the training images and more.",
    chapter="Regularisation",
    order=20,
    source="Zhang et al. 2017, table 1",
    published="Inception on CIFAR-10 fits random labels of all training images, 9.78 % on test",
    contrary="on ImageNet 95.2 % of the random labels are fitted",
    cannot_show="more images than 1,000, for 61,706 parameters",
    config="lenet5:mnist",
    variants={"true": {"data.random_labels": 0.0}, "random": {"data.random_labels": 1.0}},
    contrast={"random": 1},
    measure=probed("train accuracy", "points", 10.0),
    rule=Rule("greater", margin=0.0, threshold=99.0),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                200.0,
                data__validation=59_000.0,
                log_every_steps=5,
                schedule__name="cosine",
                average_decay=0.0,
            ),
            note="1,000 training images, 200 epochs of Adam.",
        )
    },
    probe="experiments.probes.trained:on_train",
)
