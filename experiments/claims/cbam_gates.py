"""CBAM gates add accuracy.

python -m experiments.run cbam_gates
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import CIFAR_16, CIFAR_NOTE
from experiments.statistics import Rule

CLAIM = Claim(
    statement="CBAM gates add accuracy.",
    chapter="Modern blocks",
    source="Woo et al. 2018, table 4 (ResNet-50)",
    published="24.56 to 22.66 % top-1 error",
    contrary=(
        "a re-run by luuuyi gained 1.2 points where the paper has 1.9; users report losses on "
        "fine-grained sets"
    ),
    cannot_show="one net, one set and one size of training set and a short schedule",
    config="resnet20_cifar:cifar10",
    variants={"none": {"model.attention": "none"}, "cbam": {"model.attention": "cbam"}},
    contrast={"cbam": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.75),
    seeds=8,
    scales={"laptop": Scale(CIFAR_16, note=CIFAR_NOTE), "gpu": Scale({})},
)
