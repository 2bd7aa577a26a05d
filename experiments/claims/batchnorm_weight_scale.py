"""With BatchNorm the scale of the weights has no effect.

python -m experiments.run batchnorm_weight_scale
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="With BatchNorm the scale of the weights changes no output: under 0.1 % for a factor "
    "of three.",
    chapter="BatchNorm",
    order=13,
    source="Ioffe & Szegedy 2015, sec. 3.3",
    published="BN(Wu) = BN((aW)u): an identity, but for epsilon",
    contrary="the gradient is divided by the factor: weight decay then changes the effective rate "
    "(van Laarhoven 2017, recalled)",
    cannot_show="training; statistics of the population do not follow by themselves",
    config="bn_lenet:digits",
    variants={"batch": {"model.norm": "batch"}, "none": {"model.norm": "none"}},
    contrast={"batch": 1},
    measure=probed("change of the logits", "%", better="less"),
    rule=Rule("less", margin=0.0, threshold=0.1),
    seeds=6,
    scales={"laptop": Scale({}, note="64 images, at the initial weights; nothing is trained.")},
    probe="experiments.probes.invariances:weight_scale",
    trained=False,
)
