"""ResNet-20 for CIFAR-10, option A, 269,722 parameters (He, Zhang, Ren, Sun, CVPR 2016, sec. 4.2).

    python -m cnn_jax.main --config=configs/resnet20_cifar.py[:digits|cifar10|...]

cifar10: the paper's recipe: batch 128, momentum 0.9, weight decay 1e-4, rate 0.1 divided by 10 at
32k and 48k of 64k iterations, 45k/5k split, pad 4 and crop, flips, the mean image subtracted.
Silent: the border of a crop is the mean, as fb.resnet.torch and others have it; vectors are not
decayed; the rate is inside the momentum, as in Caffe, the paper's framework.
Paper: 8.75 % test error. `--config.model.name=resnet56_cifar`, `plain20_cifar`, ... train the other
depths; ResNet-110 warms up: `--config.schedule.warmup=constant --config.schedule.warmup_from=0.1
--config.schedule.warmup_epochs=1.1`.
Price on 2 busy CPU cores: digits 3 minutes. Result: digits 98.1 % test accuracy, one seed;
cifar10 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper: the 45k/5k split, by class, is ours and not the authors'. ResNet-110's
warm-up ends by iterations (400), not when the training error falls under 80 %.
On other sets: 15 epochs of Adam, unit deviation, black borders.
"""

from ml_collections import ConfigDict

from configs.base import base

PUBLISHED_ON = "cifar10"


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("resnet20_cifar", dataset, image_size=32)
    config.model.name = "resnet20_cifar"
    if dataset == PUBLISHED_ON:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    iterations = 128 / 45_000  # epochs an iteration
    config.batch_size = 128
    config.epochs = 64_000 * iterations
    config.data.normalisation = "mean_image"
    config.augment_border = "mean"
    config.optimizer.name = "momentum"
    config.optimizer.rate_inside = True
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "step"
    config.schedule.gamma = 0.1
    config.schedule.at_epochs = (32_000 * iterations, 48_000 * iterations)
    config.augment = ("pad_and_crop(4)", "horizontal_flip")
    return config
