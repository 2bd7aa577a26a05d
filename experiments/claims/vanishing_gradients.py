"""Plain nets of 56 layers with BatchNorm fail because gradients vanish.

python -m experiments.run vanishing_gradients
"""

from experiments.claim import Claim, Deviation, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Plain nets of 56 layers with BatchNorm fail because gradients vanish.",
    chapter="ResNet",
    order=2,
    source="lecture notes, as the reason for ResNets",
    published=("none; tested as: the gradient after the first block is under 1/100 of the last"),
    contrary=(
        "He et al. 2016, sec. 4.1: unlikely, for BatchNorm keeps the variances of signals, "
        "and gradients have healthy norms"
    ),
    cannot_show="what happens later in training",
    config="resnet20_cifar:digits",
    variants={"plain56": {"model.name": "plain56_cifar"}},
    contrast={"plain56": 1},
    measure=probed("first over last", "ratio"),
    rule=Rule("less", margin=1.5, threshold=0.01, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {"batch_size": 64, "model.scan": False},
            note="A batch of 64 digits of 32 pixels at the initial weights; nothing is trained.",
        )
    },
    probe="experiments.probes.untrained:signal_flow",
    trained=False,
    deviations=(
        Deviation(
            "2026-11-26",
            "the gradient is taken by the signals after the first and the last block; that of the "
            "kernels, first measured, sums over positions, of which the first stage has more",
        ),
    ),
)
