"""One plain net reads 99.75 % of MNIST's test images after 150 epochs.

python -m experiments.run mnist_gpu --scale=gpu
"""

import dataclasses

from experiments.claim import Scale
from experiments.claims.mnist_laptop import CLAIM as LAPTOP
from experiments.statistics import Rule

CLAIM = dataclasses.replace(
    LAPTOP,
    statement="One plain net reads 99.75 % of MNIST's test images after 150 epochs.",
    source="An et al. 2020, arXiv 2008.10400",
    published="up to 99.87 % by the vote of three (abstract)",
    config="simple_cnn:m5:mnist",
    variants={"m5": {"model.name": "simple_cnn_m5"}},
    contrast={"m5": 1},
    rule=Rule("greater", margin=0.0, threshold=99.75, sides=1),
    scales={"gpu": Scale({}, note="60,000 images, 150 epochs; the last epoch counts.")},
)
