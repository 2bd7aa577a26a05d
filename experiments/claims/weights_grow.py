"""An MLP's weights grow with its images, a convolutional net's do not.

python -m experiments.run weights_grow
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="From 32 to 224 pixels an MLP's weights grow forty times more than a convolutional "
    "net's.",
    chapter="Perceptron",
    order=4,
    source="lecture notes",
    published="a unit sees every pixel: weights go with the area, 49 times",
    contrary="a convolutional net with dense layers on its last map, like LeNet-5, grows too",
    cannot_show="accuracy; a count, the same for every seed",
    config="mlp:cifar10",
    variants={
        "mlp, 32": {"model.name": "mlp", "data.image_size": 32},
        "mlp, 224": {"model.name": "mlp", "data.image_size": 224},
        "resnet20, 32": {"model.name": "resnet20_cifar", "data.image_size": 32},
        "resnet20, 224": {"model.name": "resnet20_cifar", "data.image_size": 224},
    },
    contrast={"mlp, 224": 1, "mlp, 32": -1, "resnet20, 224": -1, "resnet20, 32": 1},
    measure=probed("parameters", "numbers", better="less"),
    rule=Rule("greater", margin=1.1, threshold=40.0, ratio=True),
    seeds=6,
    scales={"laptop": Scale({}, note="Counts.")},
    bundle="an interaction: the net by the side of its images",
    probe="experiments.probes.counts:whole_net",
    trained=False,
)
