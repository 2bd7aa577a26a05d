"""Pairs of 3x3 convolutions beat one 5x5.

python -m experiments.run small_kernels
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import VGG_THIN, last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Pairs of 3x3 convolutions beat one 5x5.",
    chapter="VGG",
    source="Simonyan & Zisserman 2015, sec. 4.1",
    published="a shallower net with 5x5 has 7 points more top-1 error than B",
    contrary="the comparison also halves the depth",
    cannot_show="kernels at equal depth",
    config="vgg16:cifar10",
    variants={"5x5": {"model.stacked": False}, "3x3": {"model.stacked": True}},
    contrast={"3x3": 1, "5x5": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={
        "laptop": Scale({**VGG_THIN.changes, "model.name": "vgg13_bn"}, note=VGG_THIN.note),
        "gpu": Scale(
            last_epoch(
                20.0,
                data__image_size=32,
                data__fit="pad",
                data__validation=40_000.0,
                model__name="vgg13",
                model__norm="batch",
                model__head="avg",
                augment=("pad_and_crop(4)", "horizontal_flip"),
                schedule__name="cosine",
            ),
            note="10,000 images of 32 pixels, a global mean for the dense layers.",
        ),
    },
)
