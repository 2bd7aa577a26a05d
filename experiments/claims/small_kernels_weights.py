"""Three 3x3 have fewer weights than one 7x7 of the same field.

python -m experiments.run small_kernels_weights
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A 7x7 convolution needs 1.8 times the weights of three 3x3 with the same field.",
    chapter="VGG",
    order=1,
    source="Simonyan & Zisserman 2015, sec. 2.3",
    published="49 against 27 squares of the channels: 81 % more",
    contrary="three layers also keep three maps in memory, and are harder to train without norms",
    cannot_show="accuracy, see small_kernels; a count, the same for every seed",
    config="vgg16:imagenet2012",
    variants={"3x3": {"model.stacked": True}, "7x7": {"model.stacked": False}},
    contrast={"7x7": 1, "3x3": -1},
    measure=probed("weights", "numbers", better="less"),
    rule=Rule("greater", margin=1.01, threshold=1.8, ratio=True),
    seeds=6,
    scales={"laptop": Scale({}, note="VGG-16's fifth block; the probe has both fields' growth.")},
    probe="experiments.probes.counts:last_block",
    trained=False,
)
