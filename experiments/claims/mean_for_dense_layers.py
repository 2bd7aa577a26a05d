"""A global mean can take the place of the dense layers: with them nothing is gained.

python -m experiments.run mean_for_dense_layers
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import VGG_THIN, last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "A global mean can take the place of the dense layers: with them nothing is gained."
    ),
    chapter="GoogLeNet",
    source="Szegedy et al. 2015, sec. 5",
    published="the mean improves top-1 accuracy by 0.6 points",
    contrary=(
        "where things are is lost; Mishkin et al. 2017 agree with the paper: 48.9 to 49.4 "
        "against 47.0 %"
    ),
    cannot_show="tested as: dense layers lower accuracy; ImageNet at 224 pixels",
    config="vgg16:cifar10",
    variants={"mean": {"model.head": "avg"}, "dense": {"model.head": "dense"}},
    contrast={"dense": 1, "mean": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale(
            {k: v for k, v in VGG_THIN.changes.items() if k != "model.head"}
            | {"model.name": "vgg11_bn", "model.adaptive": False},
            note="VGG-11 with an eighth of the channels; dense layers of 512 units.",
        ),
        "gpu": Scale(
            last_epoch(
                20.0,
                data__image_size=32,
                data__fit="pad",
                data__validation=40_000.0,
                model__name="vgg11_bn",
                augment=("pad_and_crop(4)", "horizontal_flip"),
                schedule__name="cosine",
            ),
            note="10,000 images of 32 pixels.",
        ),
    },
)
