"""VGG with sixteen layers beats eleven.

python -m experiments.run vgg_depth
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import VGG_THIN, last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="VGG with sixteen layers beats eleven.",
    chapter="VGG",
    source="Simonyan & Zisserman 2015, table 3",
    published="top-1 error A 29.6, B 28.7, D 27.0, E 27.3 %",
    contrary="it saturates: weiaicunzai's CIFAR-100 has VGG-16 27.07, VGG-19 27.77 % error",
    cannot_show="saturation: 19 layers are not run",
    config="vgg16:cifar10",
    variants={"vgg11": {"model.name": "vgg11_bn"}, "vgg16": {"model.name": "vgg16_bn"}},
    contrast={"vgg16": 1, "vgg11": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.5),
    seeds=6,
    scales={
        "laptop": VGG_THIN,
        "gpu": Scale(
            last_epoch(
                20.0,
                data__image_size=32,
                data__fit="pad",
                data__validation=40_000.0,
                model__head="avg",
                augment=("pad_and_crop(4)", "horizontal_flip"),
                schedule__name="cosine",
            ),
            note="10,000 images of 32 pixels, a global mean for the dense layers.",
        ),
    },
)
