"""EfficientNet-B0, 5,288,548 parameters (Tan & Le, ICML 2019).

    python -m cnn_jax.main --config=configs/efficientnet.py[:DATASET]

imagenet2012: RMSProp with decay and momentum 0.9, weight decay 1e-5, rate 0.256 times 0.97 every
2.4 epochs, AutoAugment (sec. 5.2). Silent: batch 4096 (for which the rate is 0.016 at 256), label
smoothing, 5 epochs of warm-up, 350 epochs, averaged weights, and decay of all but BatchNorm are
those of the authors' main.py; epsilon of utils.py; crops and the middle of size + 32 pixels of
their preprocessing.py.
Price on 2 busy CPU cores: digits 3 minutes. Result: digits 88.9 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Photographs are resized bilinearly, antialiased; the authors' resizing is bicubic.
- BatchNorm sees the whole batch, the authors' groups of replicas; its epsilon is 1e-5 up to B4, as
  published weights have it (models/efficientnet.py), the authors' 1e-3.
- The checkpoint with the best validation accuracy is reported on, as in the paper; its 25,000
  images held out of training are not (`--config.data.validation=25000`).
On small sets: 32-pixel images, Adam. `--config.model.name=efficientnet_b4
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
    config.optimizer.decay_vectors = True
    config.optimizer.decay_except = ("*_norm",)
    config.schedule.warmup_epochs = 5.0
    config.loss.label_smoothing = 0.1
    config.data.normalisation = "imagenet"
    config.data.resize_margin = 32
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.augment = ("horizontal_flip", "auto_augment_imagenet")
    config.average_decay = 0.9999
    return config
