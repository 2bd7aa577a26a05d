"""GoogLeNet with its two auxiliary heads, 13,378,280 parameters (Szegedy et al., CVPR 2015).

    python -m cnn_jax.main --config=configs/googlenet.py[:DATASET]

imagenet2012: sec. 6: momentum 0.9, rate times 0.96 every 8 epochs; batch, first rate and weight
decay are those of Ioffe & Szegedy 2015, sec. 4.2 (32, 0.0015) and of the Caffe replication (2e-4).
Price on 2 CPU cores: digits 4 minutes (376 CPU seconds). Result: digits 98.9 % test accuracy.
Deviations on small sets: 32-pixel images, Adam by a cosine, averaged weights, shifts of 3 pixels.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("googlenet", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "googlenet"
    config.loss.auxiliary_weights = (0.3, 0.3)
    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 20.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.0007
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 1.0
    config.average_decay = 0.98
    config.augment = ("pad_and_crop(3)",)
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 32
    config.epochs = 250.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.0015
    config.optimizer.weight_decay = 0.0002
    config.schedule.gamma = 0.96
    config.schedule.every_epochs = 8.0
    config.augment = ("horizontal_flip",)
    return config
