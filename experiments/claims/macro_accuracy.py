"""Plain accuracy flatters a net on a set of unequal classes, by 2 points or more.

python -m experiments.run macro_accuracy
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY_OVER_MACRO
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("Plain accuracy flatters a net on a set of unequal classes, by 2 points or more."),
    chapter="Evaluation",
    source="Menezes et al. 2021 (paintings of 11 artists)",
    published="ResNet-50 with 92 % accuracy has an average F1 of 0.83",
    contrary="on balanced sets the two are the same",
    cannot_show="class weights or resampling",
    config="artworks:scratch:folder",
    variants={"scratch": {"schedule.gamma": 0.7}},
    contrast={"scratch": 1},
    measure=ACCURACY_OVER_MACRO,
    rule=Rule("greater", margin=0.0, threshold=2.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {"data.name": "folder:{data}", "model.name": "resnet18", "data.image_size": 64},
            note="ResNet-18 at 64 pixels, as in paintings_finetune.",
        )
    },
    inputs={"data": "a folder of class folders of unequal sizes"},
)
