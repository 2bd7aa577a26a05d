"""Two towers that hardly speak cost accuracy.

python -m experiments.run two_towers
"""

from experiments.claim import Claim
from experiments.measures import ACCURACY
from experiments.scales import ALEXNET_67
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Two towers that hardly speak cost accuracy.",
    chapter="AlexNet",
    source="Krizhevsky et al. 2012, sec. 3.5",
    published=("one GPU with half the kernels has 1.7 points more top-1 error than two towers"),
    contrary=(
        "the towers save two fifths of the work: the paper's comparison is not at equal "
        "kernels; Mishkin et al. 2017: 48.7 without groups, 47.1 % with"
    ),
    cannot_show="equal cost: one tower here is the larger net",
    config="alexnet:cifar10",
    variants={"one": {"model.towers": 1}, "two": {"model.towers": 2}},
    contrast={"two": 1, "one": -1},
    measure=ACCURACY,
    rule=Rule("less", margin=0.75),
    seeds=8,
    scales=ALEXNET_67,
)
