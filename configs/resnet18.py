"""ResNet-18, option B, 11,689,512 parameters (He, Zhang, Ren, Sun, CVPR 2016).

    python -m cnn_jax.main --config=configs/resnet18.py[:DATASET]

imagenet2012: the shorter side in [256, 480] and a random crop, flips and AlexNet's colours, minus
the mean image; batch 256, momentum 0.9, weight decay 1e-4, rate 0.1 divided by 10 when the error
stops falling, 60e4 iterations; the report is over ten crops (sec. 3.4). Best figures (table 4):
`--config.protocol='multi_scale(224, 256, 384, 480, 640)'`. The report's population statistics are
over training images of the trained net, as the release's ("not moving average", its README).
Silent, so ours: how many images these are; vectors are not decayed, and the rate is inside the
momentum, as in Caffe, its framework; five evaluations of patience; PCA colour by standard
deviations, as in configs/alexnet.py.
fashion_mnist: the textbooks' run at 96x96: plain SGD, rate 0.01, batch 128, 10 epochs.
cifar10: at its 32x32, a source of weights to fine-tune (configs/artworks.py): Nesterov, rate 0.05
to 0 by a cosine, weight decay 5e-4, batch 128, 15 epochs, pad 4 and crop, flips.
Price on 2 CPU cores: digits 5 minutes, cifar10 half an hour. Result: digits 97.5 %, cifar10 81.0 %
test accuracy, one seed; fashion_mnist and imagenet2012 are not trained here (`--dry_run` says the
price on your machine).

What differs from the paper:
- The mean image is that of the middle crops of 224 px, whatever part of a photograph is seen.
- The plateau's factor is taken of the whole update, what the momentum gathered included.
- BatchNorm is over the batch; the authors' is over the 32 images of each of eight GPUs, which
  `--config.parallel=pmap` is on eight devices.
- Dense evaluation is of the middle square, and minus the mean of each channel.
- Shortcuts are B, as published weights have them; table 2's are A (`--config.model.shortcut=A`).
On small sets: 32 px, unit deviation, Adam; photographs in a folder are cropped at random and
mirrored. `--config.model.name=plain18`, `resnet34`, ... train the other nets of two-layer blocks.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base
from configs.photos import augment_photographs
from configs.resnet50 import as_published

SIZES = {IMAGENET: 224, "fashion_mnist": 96}


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("resnet18", dataset, image_size=SIZES.get(dataset, 32))
    config.model.name = "resnet18"
    if dataset == IMAGENET:
        return as_published(config)
    if dataset == "fashion_mnist":
        config.data.fit = "bilinear"
        config.optimizer.name = "sgd"
        config.optimizer.learning_rate = 0.01
        config.schedule.name = "constant"
        return config
    if dataset == "cifar10":
        return as_source(config)
    config.epochs = 10.0
    config.batch_size = 32
    config.schedule.gamma = 0.7
    augment_photographs(config)
    return config


def as_source(config: ConfigDict) -> ConfigDict:
    config.batch_size = 128
    config.epochs = 15.0
    config.optimizer.name = "nesterov"
    config.optimizer.learning_rate = 0.05
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.augment = ("pad_and_crop(4)", "horizontal_flip")
    return config
