"""The rule of thumb of transfer learning names the way that is best, with ten images a class.

python -m experiments.run transfer_rule_few
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "The rule of thumb of transfer learning names the way that is best, with ten images a "
        "class."
    ),
    chapter="Transfer",
    source="Karpathy, CS231n notes, Transfer learning",
    published="no figures: by few or many images, similar or different",
    contrary="this project's first study (results/advice)",
    cannot_show=("other weights; on a set that the weights have seen, similar images are favoured"),
    config="resnet18:digits",
    variants={"different": {"data.name": "{data}"}},
    contrast={"different": 1},
    measure=probed("lead of the rule", "points", 0.0),
    rule=Rule("greater", margin=0.0, threshold=0.0),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                30.0,
                init__from="{weights}",
                model__num_classes=0,
                data__image_size=64,
                data__channels=3,
                data__fit="crop",
                data__validation=0.1,
                data__test=0.1,
                schedule__gamma=0.9,
                augment=("pad_and_crop(4)", "horizontal_flip"),
            ),
            note="Two minutes of a core a seed.",
        )
    },
    probe="experiments.probes.advice:few_images",
    trained=False,
    inputs={
        "data": "a set, like cifar10 or folder:PATH",
        "weights": "a workdir, or imported weights",
    },
)
