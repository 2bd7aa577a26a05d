"""A deep net of sigmoids does not train; BatchNorm lets it.

python -m experiments.run sigmoid_deep_net
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A deep net of sigmoids does not train; BatchNorm lets it.",
    chapter="Activations",
    order=3,
    source="Ioffe & Szegedy 2015, sec. 4.2.2",
    published="Inception with sigmoid stays at chance, with BatchNorm it reaches 69.8 %",
    contrary=(
        "with layer-wise training, or skips, sigmoids trained deep nets too; with BatchNorm "
        "ReLU is still better (Mishkin et al. 2017: 47.5 and 49.9 %)"
    ),
    cannot_show="whether the net without BatchNorm would train at another rate",
    config="resnet20_cifar:cifar10",
    variants={"none": {"model.norm": "none"}, "batch": {"model.norm": "batch"}},
    contrast={"batch": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=5.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {**CIFAR_16, "model.name": "plain20_cifar", "model.activation": "sigmoid"},
            note=CIFAR_NOTE,
        )
    },
)
