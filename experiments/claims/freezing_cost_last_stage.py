"""A step that trains the last stage and head alone costs at most 0.60 of one that trains all.

python -m experiments.run freezing_cost_last_stage
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement=(
        "A step that trains the last stage and head alone costs at most 0.60 of one that "
        "trains all."
    ),
    chapter="Transfer",
    source="configs/artworks.py",
    published="a share of 0.60",
    contrary="where memory traffic, not arithmetic, is the limit, less is saved",
    cannot_show="other nets; a share of times, so a quiet machine is best",
    config="artworks:scratch:digits",
    variants={"resnet18": {"model.name": "resnet18"}},
    contrast={"resnet18": 1},
    measure=probed("last stage and head", "of a whole step", 1.0, "less"),
    rule=Rule("less", margin=0.0, threshold=0.6),
    seeds=6,
    scales={
        "laptop": Scale(
            {"data.image_size": 128, "batch_size": 16},
            note="Fifteen steps of each kind in turns, the median of their shares.",
        )
    },
    probe="experiments.probes.freezing:cost",
    trained=False,
)
