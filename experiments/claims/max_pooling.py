"""Max against average pooling: python -m experiments.run max_pooling"""

from experiments.claim import Claim, Scale
from experiments.measures import ACCURACY
from experiments.statistics import Rule

CLAIM = Claim(
    statement="Max-pooling beats average pooling.",
    chapter="LeNet",
    order=1,
    source="Scherer, Müller, Behnke 2010, abstract",
    published="maximum pooling significantly outperforms subsampling (Caltech-101, NORB)",
    contrary="Zeiler & Fergus 2013: CIFAR-10 19.40 % error with max, 19.24 % with average pooling "
    "(recalled); Mishkin et al. 2017: max 47.1, average 43.5, strided convolution instead 47.2.",
    cannot_show="one net and one set of grey images; LeNet's own pooling had trained coefficients",
    config="lenet5:fashion_mnist",
    variants={"avg": {"model.pooling": "avg"}, "max": {"model.pooling": "max"}},
    contrast={"max": 1, "avg": -1},
    measure=ACCURACY,
    rule=Rule("greater", margin=0.3),
    seeds=6,
    scales={
        "laptop": Scale(
            {"epochs": 5.0, "eval_every_epochs": 5.0, "data.validation": 50_000.0},
            note="10,000 training images; the other 60,000 are held out.",
        ),
        "gpu": Scale({"epochs": 10.0, "eval_every_epochs": 10.0}),
    },
)
