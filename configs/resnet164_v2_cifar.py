"""ResNet-164 with full pre-activation for CIFAR-10, 1,703,258 parameters (He et al., ECCV 2016).

    python -m cnn_jax.main --config=configs/resnet164_v2_cifar.py[:digits|cifar10|cifar100|...]

cifar10, cifar100: the appendix: batch 128, momentum 0.9, weight decay 1e-4, rate 0.01 for 400
iterations, then 0.1, divided by 10 at 32k and 48k; pad 4 and crop, flips. The 64k iterations, the
45k/5k split and the mean image are those of He et al. 2015, which it follows.
Price on 2 busy CPU cores: digits 1.5 minutes. Result: digits 84.7 % test accuracy, one seed;
cifar10 and cifar100 are not trained here (`--dry_run` says the price on your machine).
Paper, cifar10: 5.46 % test error (median of 5 runs); 6.37 with 110 layers, 4.92 with 1001
(`--config.model.name=resnet110_v2_cifar`, `resnet1001_v2_cifar`). cifar100: 24.33; 22.71 with 1001.
What differs from the paper: what configs/resnet20_cifar.py names, but for the warm-up.
On other sets: 5 epochs of Adam, digits at 16 pixels.
"""

from ml_collections import ConfigDict

from configs import resnet20_cifar
from configs.base import base

CIFAR = ("cifar10", "cifar100")


def get_config(dataset: str = "digits") -> ConfigDict:
    digits = dataset.startswith("digits")
    config = base("resnet164_v2_cifar", dataset, image_size=16 if digits else 32)
    config.model.name = "resnet164_v2_cifar"
    if dataset in CIFAR:
        config = resnet20_cifar.as_published(config)
        config.schedule.warmup = "constant"
        config.schedule.warmup_from = 0.1
        config.schedule.warmup_epochs = 400 * 128 / 45_000
        return config
    config.epochs = 5.0
    config.batch_size = 32
    config.schedule.gamma = 0.8
    return config
