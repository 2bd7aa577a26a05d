"""Inception v4, 42,679,816 parameters (Szegedy et al., AAAI 2017).

    python -m cnn_jax.main --config=configs/inception_v4.py[:DATASET]

imagenet2012: 20 replicas, RMSProp with decay 0.9 and epsilon 1.0, rate 0.045 times 0.94 every two
epochs, averaged weights (sec. 4). Silent: 32 images a replica and 100 epochs are those of v3's
paper; momentum 0.9, weight decay 4e-5 of kernels, the average's 0.9999, crops, colours and the
centre crop those of the authors' release of v3 (inception_train.py, image_processing.py).
Price on 2 busy CPU cores: digits 12 minutes. Result: digits 94.4 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Updates are synchronous, of 640 images, and BatchNorm sees them all; the paper's replicas update
  one after another, each by its own images.
- No auxiliary head and no label smoothing, of which the paper says nothing; slim's inception_v4.py
  offers a head.
- Colours change in one of four orders, crops are drawn anywhere: see configs/inception_v3.py.
- BatchNorm's momentum is 0.9, the release's 0.9997, for half a million steps; the paper is silent.
On small sets: 75-pixel images (the least it takes), Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("inception_v4", dataset, image_size=299 if dataset == IMAGENET else 75)
    config.model.name = "inception_v4"

    if dataset == IMAGENET:
        return as_published(config)
    config.data.fit = "bilinear"

    config.epochs = 8.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 640  # 20 replicas of 32
    config.epochs = 100.0
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.learning_rate = 0.045
    config.optimizer.momentum = 0.9
    config.optimizer.eps = 1.0
    config.schedule.gamma = 0.94
    config.schedule.every_epochs = 2.0
    config.data.normalisation = "minus_one_to_one"
    config.data.train_crop = "random_resized_crop(0.05, 1)"
    config.augment = ("horizontal_flip", "inception_colour")
    config.optimizer.weight_decay = 4e-5
    config.average_decay = 0.9999
    return config
