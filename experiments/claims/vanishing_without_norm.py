"""Without BatchNorm the gradients of a plain net of 56 layers shrink towards the image.

python -m experiments.run vanishing_without_norm
"""

from experiments.claim import Claim, Deviation, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "Without BatchNorm the gradients of a plain net of 56 layers shrink towards the image."
    ),
    chapter="ResNet",
    order=3,
    source="Glorot & Bengio 2010; He et al. 2016, sec. 1",
    published="none for this net; tested as: the gradient after the first block is below the last",
    contrary=("He et al. 2015: their initialisation keeps the variance of signals through ReLUs"),
    cannot_show="other initial weights than He's",
    config="resnet20_cifar:digits",
    variants={"plain56": {"model.name": "plain56_cifar"}},
    contrast={"plain56": 1},
    measure=probed("first over last", "ratio"),
    rule=Rule("less", margin=1.2, threshold=1.0, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {"batch_size": 64, "model.scan": False, "model.norm": "none"},
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
