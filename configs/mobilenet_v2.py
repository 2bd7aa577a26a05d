"""MobileNet v2, 3,504,872 parameters (Sandler et al., CVPR 2018).

    python -m cnn_jax.main --config=configs/mobilenet_v2.py[:DATASET]

imagenet2012: sec. 6.1: RMSProp with decay and momentum 0.9, weight decay 4e-5, rate 0.045 times
0.98 every epoch, batch 96.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("mobilenet_v2", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "mobilenet_v2"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 96
    config.epochs = 300.0
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.momentum = 0.9
    config.optimizer.learning_rate = 0.045
    config.optimizer.weight_decay = 4e-5
    config.optimizer.eps = 1e-3
    config.schedule.gamma = 0.98
    config.schedule.every_epochs = 1.0
    config.augment = ("horizontal_flip",)
    return config
