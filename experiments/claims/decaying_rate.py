"""A rate that decays (0.7 an epoch) beats a constant one at the last epoch.

python -m experiments.run decaying_rate
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_5K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="A rate that decays (0.7 an epoch) beats a constant one at the last epoch.",
    chapter="Optimisation",
    order=1,
    source="lecture notes; Mishkin et al. 2017, table of rate policies",
    published="CaffeNet: step 47.1, linear 49.3 %",
    contrary="exponential decay at half the length 44.1 %: a rate can fall too fast",
    cannot_show="other rates: both begin at 2e-3 with Adam",
    config="bn_lenet:fashion_mnist",
    variants={"constant": {"schedule.gamma": 1.0}, "0.7": {"schedule.gamma": 0.7}},
    contrast={"0.7": 1, "constant": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={
        "laptop": Scale(FASHION_5K, note="5,000 training images, 10 epochs; 65,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
