"""AlexNet, two towers, 60,965,224 parameters (Krizhevsky, Sutskever, Hinton, NIPS 2012).

    python -m cnn_jax.main --config=configs/alexnet.py[:DATASET]

imagenet2012: sec. 5: batch 128, momentum 0.9, weight decay 5e-4, rate 0.01 divided by 10 when
the validation error stops falling, about 90 epochs; 227 px, the mean image subtracted.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 67-pixel images (the least it takes), Adam, half the dropout.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("alexnet", dataset, image_size=227 if dataset == IMAGENET else 67)
    config.model.name = "alexnet"

    if dataset == IMAGENET:
        return as_published(config)
    config.model.dropout = 0.25
    config.data.fit = "bilinear"

    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.0003
    config.schedule.gamma = 0.9
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 128
    config.epochs = 90.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 0.0005

    config.schedule.name = "plateau"
    config.schedule.gamma = 0.1
    config.data.normalisation = "per_pixel_mean"
    config.augment = ("horizontal_flip",)
    return config
