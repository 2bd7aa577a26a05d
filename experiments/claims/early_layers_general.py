"""Which layers can be taken over as they are.

python -m experiments.run early_layers_general
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="The first layers are general, the last specific: frozen, all cost more than the "
    "first.",
    chapter="Transfer",
    order=5,
    source="Yosinski et al. 2014, fig. 2",
    published="the first layers transfer nearly without loss, all frozen lose several points",
    contrary="part of the loss in the middle is co-adaptation; random convolutions do fairly well",
    cannot_show="deep nets, and photographs",
    config="bn_lenet:fashion_mnist",
    variants={"halves": {"model.name": "bn_lenet"}},
    contrast={"halves": 1},
    measure=probed("first frozen less all frozen", "points", 0.0),
    rule=Rule("greater", margin=1.0),
    seeds=8,
    scales={
        "laptop": Scale(
            last_epoch(3.0, data__validation=30_000.0),
            note="Classes 0 to 4 of 30,000 images, then classes 5 to 9 by 200 images, 10 epochs.",
        )
    },
    probe="experiments.probes.halves:transfer",
    trained=False,
)
