"""Ten crops of a test image beat one.

python -m experiments.run ten_crops
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Ten crops of a test image beat one.",
    chapter="Evaluation",
    source="Krizhevsky et al. 2012, sec. 4.1; He et al. 2016",
    published=("AlexNet's top-1 error 39.0 to 37.5 % (ILSVRC-2010); ResNet-50 24.7 to 22.85 %"),
    contrary="none is known",
    cannot_show="nets whose training saw other crops",
    config="resnet20_cifar:cifar10",
    variants={"one": {"protocol": "single_crop"}, "ten": {"protocol": "ten_crop(18)"}},
    contrast={"ten": 1, "one": -1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={"laptop": Scale(CIFAR_16, note=CIFAR_NOTE)},
)
