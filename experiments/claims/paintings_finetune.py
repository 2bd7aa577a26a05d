"""Fine-tuned weights beat training from scratch on a small set of paintings.

python -m experiments.run paintings_finetune
"""

from experiments.claim import Claim, Scale
from experiments.measures import MACRO_RECALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Fine-tuned weights beat training from scratch on a small set of paintings.",
    chapter="Transfer",
    order=1,
    source="lecture notes; the first study of this project (results/artworks)",
    published="53.8 against 41.1 % macro accuracy, ResNet-18 at 64 pixels, 3 seeds",
    contrary=(
        "He et al. 2018: on enough data training from scratch catches up, given a longer "
        "schedule (recalled)"
    ),
    cannot_show=("weights of other sources; the checkpoint that is best on validation is reported"),
    config="artworks:scratch:folder",
    variants={
        "scratch": {},
        "finetune": {
            "init.from": "{weights}",
            "init.head": "drop",
            "optimizer.learning_rate": 3e-4,
        },
        "head": {
            "init.from": "{weights}",
            "init.head": "drop",
            "optimizer.learning_rate": 3e-4,
            "freeze": ("conv1", "layer[1234]"),
        },
        "last stage and head": {
            "init.from": "{weights}",
            "init.head": "drop",
            "optimizer.learning_rate": 3e-4,
            "freeze": ("conv1", "layer[123]"),
        },
    },
    contrast={"finetune": 1, "scratch": -1},
    measure=MACRO_RECALL,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {"data.name": "folder:{data}", "model.name": "resnet18", "data.image_size": 64},
            note="ResNet-18 at 64 pixels.",
        ),
        "gpu": Scale({"data.name": "folder:{data}"}),
    },
    bundle="the rows of configs/artworks.py: each start with the rate that goes with it",
    inputs={"data": "a folder of class folders", "weights": "a workdir, or imported weights"},
)
