"""Grad-CAM and the weights.

python -m experiments.run grad_cam_sanity
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Grad-CAM depends on the weights: a random net's maps correlate with it by under "
    "0.3.",
    chapter="Interpretation",
    order=1,
    source="Adebayo et al. 2018, sec. 4",
    published="gradients and Grad-CAM pass the sanity checks (figures)",
    contrary="that a map depends on the weights does not make it right",
    cannot_show="whether the net uses what the map shows; labels drawn at random",
    config="bn_lenet:fashion_mnist",
    variants={"bn_lenet": {"model.name": "bn_lenet"}},
    contrast={"bn_lenet": 1},
    measure=probed("grad-cam, rank correlation", "of ranks", better="less"),
    rule=Rule("less", margin=0.0, threshold=0.3),
    seeds=6,
    scales={"laptop": Scale(FASHION_10K, note="32 test images; 10,000 training images, 5 epochs.")},
    probe="experiments.probes.last_weights:sanity_checks",
)
