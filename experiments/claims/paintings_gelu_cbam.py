"""GELU and CBAM together improve ResNet-18 on paintings.

python -m experiments.run paintings_gelu_cbam
"""

from experiments.claim import Claim, Scale
from experiments.measures import MACRO_RECALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="GELU and CBAM together improve ResNet-18 on paintings.",
    chapter="Transfer",
    source="lecture notes; configs/artworks.py",
    published="no figure",
    contrary=("the first study of this project (results/artworks): 41.7 against 41.1 %, 3 seeds"),
    cannot_show="weights to begin with; larger images",
    config="artworks:scratch:folder",
    variants={
        "scratch": {},
        "both": {"model.activation": "gelu", "model.attention": "cbam"},
        "gelu": {"model.activation": "gelu"},
        "cbam": {"model.attention": "cbam"},
    },
    contrast={"both": 1, "scratch": -1},
    measure=MACRO_RECALL,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={
        "laptop": Scale(
            {"data.name": "folder:{data}", "model.name": "resnet18", "data.image_size": 64},
            note="ResNet-18 at 64 pixels.",
        )
    },
    bundle="both changes together are the claim; each alone stands beside it",
    inputs={"data": "a folder of class folders"},
)
