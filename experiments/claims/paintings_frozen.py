"""With few paintings, training the head alone is better than training everything.

python -m experiments.run paintings_frozen
"""

from experiments.claim import Claim, Scale
from experiments.measures import MACRO_RECALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement=("With few paintings, training the head alone is better than training everything."),
    chapter="Transfer",
    order=2,
    source="Karpathy, CS231n notes, Transfer learning",
    published="no figure: few similar images, a linear classifier on the highest features",
    contrary=("the first study of this project (results/artworks): 14.3 against 53.8 %, 3 seeds"),
    cannot_show="other weights, of photographs in particular",
    config="artworks:scratch:folder",
    variants={
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
    },
    contrast={"head": 1, "finetune": -1},
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
    bundle="the weights and their rate are the same in both",
    inputs={"data": "a folder of class folders", "weights": "a workdir, or imported weights"},
)
