"""Wide nets memorise sooner.

python -m experiments.run wide_memorises
"""

from experiments.claim import Claim, Scale
from experiments.measures import steps_to
from experiments.scales import last_epoch
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Ten times the hidden units fit random labels in fewer steps.",
    chapter="Regularisation",
    order=26,
    source="Zhang et al. 2017, sec. 3; lecture notes",
    published="two-layer nets with 2n + d weights fit any labels of n images (a theorem)",
    contrary="at one rate a wide net also makes larger steps",
    cannot_show="rates tuned for each width",
    config="mlp:mnist",
    variants={"30": {"model.hidden": (30,)}, "300": {"model.hidden": (300,)}},
    contrast={"300": 1, "30": -1},
    measure=steps_to("loss", 0.5),
    rule=Rule("less", margin=1.15, ratio=True),
    seeds=6,
    scales={
        "laptop": Scale(
            last_epoch(
                300.0,
                data__validation=59_000.0,
                data__random_labels=1.0,
                log_every_steps=5,
                schedule__name="constant",
            ),
            note="1,000 training images with random labels, 300 epochs at most.",
        )
    },
)
