"""GELU, depthwise 3x3 and CBAM together improve ResNet-50 on paintings.

python -m experiments.run paintings_modified
"""

from experiments.claim import Claim, Scale
from experiments.measures import MACRO_RECALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="GELU, depthwise 3x3 and CBAM together improve ResNet-50 on paintings.",
    chapter="Transfer",
    source="lecture notes; configs/artworks.py",
    published="no figure",
    contrary=("on ResNet-18 GELU and CBAM: 44.3 against 41.1 % with 3 seeds, within their spread"),
    cannot_show="weights to begin with",
    config="artworks:scratch:folder",
    variants={
        "scratch": {},
        "modified": {
            "model.activation": "gelu",
            "model.depthwise": True,
            "model.attention": "cbam",
        },
        "gelu": {"model.activation": "gelu"},
        "depthwise": {"model.depthwise": True},
        "cbam": {"model.attention": "cbam"},
    },
    contrast={"modified": 1, "scratch": -1},
    measure=MACRO_RECALL,
    rule=Rule("greater", margin=1.0),
    seeds=6,
    scales={"gpu": Scale({"data.name": "folder:{data}"})},
    bundle="the three changes together are the claim; each alone stands beside it",
    inputs={"data": "a folder of class folders"},
)
