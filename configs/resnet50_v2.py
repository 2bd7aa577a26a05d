"""ResNet-50 with full pre-activation, 25,549,352 parameters (He, Zhang, Ren, Sun, ECCV 2016).

    python -m cnn_jax.main --config=configs/resnet50_v2.py[:DATASET]

imagenet2012: as ResNet: batch 256, momentum 0.9, weight decay 1e-4, rate 0.1 divided by 10 at
epochs 30 and 60 of 90.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("resnet50_v2", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "resnet50_v2"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 10.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.7
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 90.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 0.0001

    config.schedule.name = "step"
    config.schedule.gamma = 0.1
    config.schedule.at_epochs = (30.0, 60.0)
    config.augment = ("horizontal_flip",)
    return config
