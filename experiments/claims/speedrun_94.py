"""configs/speedrun.py reaches 94 % on CIFAR-10 in 16 epochs.

python -m experiments.run speedrun_94
"""

from experiments.claim import Claim, Scale
from experiments.measures import TEST_ACCURACY
from experiments.statistics import Rule

CLAIM = Claim(
    statement="configs/speedrun.py reaches 94 % on CIFAR-10 in 16 epochs.",
    chapter="ResNet",
    source="configs/speedrun.py",
    published=(
        "94 % as a mean over 20 seeds: the target of the DAWNBench and airbench line of work"
    ),
    contrary="not measured yet, for want of an accelerator",
    cannot_show="time: the page gives seconds a run",
    config="speedrun:94:cifar10",
    variants={"speedrun": {"model.name": "resnet18"}},
    contrast={"speedrun": 1},
    measure=TEST_ACCURACY,
    rule=Rule("greater", margin=0.0, threshold=94.0),
    seeds=20,
    scales={"gpu": Scale({})},
)
