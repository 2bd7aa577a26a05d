"""EfficientNet-B0, 5,288,548 parameters (Tan & Le, ICML 2019).

    python -m cnn_jax.main --config=configs/efficientnet.py[:DATASET]

imagenet2012: sec. 5.2: RMSProp with decay and momentum 0.9, weight decay 1e-5, rate 0.256 (for
batch 4096) times 0.97 every 2.4 epochs; 350 epochs and the average are of the authors' code.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam. `--config.model.name=efficientnet_b4
--config.data.image_size=380` and so on are the larger ones.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("efficientnet", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "efficientnet_b0"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 4096
    config.epochs = 350.0
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.momentum = 0.9
    config.optimizer.learning_rate = 0.256
    config.optimizer.weight_decay = 1e-5
    config.optimizer.eps = 1e-3
    config.schedule.gamma = 0.97
    config.schedule.every_epochs = 2.4
    config.augment = ("horizontal_flip",)
    config.average_decay = 0.9999
    return config
