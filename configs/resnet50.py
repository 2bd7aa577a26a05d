"""ResNet-50, stride in the first 1x1, 25,557,032 parameters (He, Zhang, Ren, Sun, CVPR 2016).

    python -m cnn_jax.main --config=configs/resnet50.py[:DATASET]

imagenet2012: sec. 3.4: batch 256, momentum 0.9, weight decay 1e-4, rate 0.1 divided by 10 when the
error stops falling, 60e4 iterations.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam. `--config.model.name=resnet50_v1_5`,
`resnet50_cbam`, `resnet50_modified`, `seresnet50`, `wide_resnet50_2`, `resnext50_32x4d`, ... train
its relatives.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("resnet50", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "resnet50"
    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 10.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.7
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 120.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 0.0001

    config.schedule.name = "plateau"
    config.schedule.gamma = 0.1
    config.augment = ("horizontal_flip",)
    return config
