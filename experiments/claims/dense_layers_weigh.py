"""Where the parameters of a classic net are.

python -m experiments.run dense_layers_weigh
"""

from experiments.claim import Claim, Scale
from experiments.measures import probed
from experiments.statistics import Rule

CLAIM = Claim(
    statement="More than four fifths of VGG-16's parameters are in its dense layers.",
    chapter="VGG",
    order=2,
    source="Simonyan & Zisserman 2015, tables 1 and 2; lecture notes",
    published="138 M parameters in all, of which fc6 has 102.8 M",
    contrary="nets with a mean before the classifier, like GoogLeNet and ResNet, have few there",
    cannot_show="which of them matter; a count, the same for every seed",
    config="vgg16:imagenet2012",
    variants={
        "alexnet": {"model.name": "alexnet"},
        "vgg16": {"model.name": "vgg16"},
        "googlenet": {"model.name": "googlenet"},
        "resnet50": {"model.name": "resnet50"},
    },
    contrast={"vgg16": 1},
    measure=probed("parameters in dense layers", "% of all"),
    rule=Rule("greater", margin=0.0, threshold=80.0),
    seeds=6,
    scales={
        "laptop": Scale({"data.image_size": 227}, note="Counts; 227 pixels, as AlexNet needs.")
    },
    probe="experiments.probes.counts:whole_net",
    trained=False,
)
