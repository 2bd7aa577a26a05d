"""Small test batches: the population's statistics and their own.

python -m experiments.run population_statistics
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.scales import FASHION_10K
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Evaluation takes the population's statistics: those of test batches of 16 cost "
    "accuracy.",
    chapter="BatchNorm",
    order=8,
    source="Ioffe & Szegedy 2015, sec. 3.1, alg. 2",
    published="outputs should depend on the input alone (no figure)",
    contrary="where the test images come from elsewhere, statistics of their own help (Schneider "
    "et al. 2020, recalled)",
    cannot_show="test images of another kind, and batches of one class",
    config="bn_lenet:fashion_mnist",
    variants={"bn_lenet": {"model.name": "bn_lenet"}},
    contrast={"bn_lenet": 1},
    measure=probed("population less batch", "points", 0.0),
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={"laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs.")},
    probe="experiments.probes.last_weights:small_batch_statistics",
)
