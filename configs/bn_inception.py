"""BN-Inception, 11,285,224 parameters (Ioffe & Szegedy, ICML 2015).

    python -m cnn_jax.main --config=configs/bn_inception.py[:DATASET]

imagenet2012: sec. 4.2, BN-x5: batch 32, rate 0.0075 (five times Inception's), decay six times
faster than GoogLeNet's, weight decay 5 times weaker, no dropout, no LRN.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("bn_inception", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "bn_inception"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 8.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 32
    config.epochs = 60.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.0075
    config.optimizer.weight_decay = 4e-05
    config.schedule.gamma = 0.96
    config.schedule.every_epochs = 8.0 / 6.0
    config.augment = ("horizontal_flip",)
    return config
