"""VGG-16, column D, 138,357,544 parameters (Simonyan & Zisserman, ICLR 2015).

    python -m cnn_jax.main --config=configs/vgg16.py[:DATASET]

imagenet2012: sec. 3.1: batch 256, momentum 0.9, weight decay 5e-4, rate 0.01 divided by 10 when the
validation accuracy stops rising, 74 epochs; the mean of each channel subtracted.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, one global average and a linear layer for the three dense
ones, BatchNorm, Adam. `--config.model.name=vgg11_lrn` and so on train the other columns.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("vgg16", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "vgg16"

    if dataset == IMAGENET:
        return as_published(config)
    config.model.head = "avg"
    config.model.norm = "batch"

    config.epochs = 10.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 74.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 0.0005

    config.schedule.name = "plateau"
    config.schedule.gamma = 0.1
    config.augment = ("horizontal_flip",)
    return config
