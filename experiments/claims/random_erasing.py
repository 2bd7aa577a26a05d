"""Random erasing improves accuracy.

python -m experiments.run random_erasing
"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.scales import FASHION_10K, FASHION_ALL
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Random erasing improves accuracy.",
    chapter="Regularisation",
    source="hysts' pytorch_image_classification, median of 3; Zhong et al. 2017",
    published=(
        "ResNet-preact-56 5.85 to 5.22 % error on CIFAR-10; Fashion-MNIST 5.04 to about 4.5 %"
    ),
    contrary="it takes many epochs to pay",
    cannot_show="long training",
    config="bn_lenet:fashion_mnist",
    variants={"none": {"augment": ()}, "erasing": {"augment": ("random_erasing(0.5)",)}},
    contrast={"erasing": 1, "none": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=8,
    scales={
        "laptop": Scale(FASHION_10K, note="10,000 training images, 5 epochs; 60,000 held out."),
        "gpu": Scale(FASHION_ALL),
    },
)
