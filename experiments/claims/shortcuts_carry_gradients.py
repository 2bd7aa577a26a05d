"""Without BatchNorm, shortcuts keep the gradient of 56 layers from dying out.

python -m experiments.run shortcuts_carry_gradients
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("Without BatchNorm, shortcuts keep the gradient of 56 layers from dying out."),
    chapter="ResNet",
    order=4,
    source="He et al. 2016 (identity mappings), sec. 2; Balduzzi et al. 2017 (recalled)",
    published="the gradient of a deeper unit adds to that of a shallower one (no figure)",
    contrary="with BatchNorm gradients do not vanish without shortcuts either (He et al. 2016)",
    cannot_show="other initial weights than He's",
    config="resnet20_cifar:digits",
    variants={
        "plain56": {"model.name": "plain56_cifar"},
        "resnet56": {"model.name": "resnet56_cifar"},
    },
    contrast={"resnet56": 1, "plain56": -1},
    measure=probed("first over last", "ratio"),
    rule=Rule("greater", margin=1.5, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            {"batch_size": 64, "model.scan": False, "model.norm": "none"},
            note="A batch of 64 digits of 32 pixels at the initial weights; nothing is trained.",
        )
    },
    probe="experiments.probes.untrained:signal_flow",
    trained=False,
)
