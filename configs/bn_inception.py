"""BN-Inception, 11,285,224 parameters (Ioffe & Szegedy, ICML 2015).

    python -m cnn_jax.main --config=configs/bn_inception.py[:DATASET]

imagenet2012: sec. 4.2, BN-x5: batch 32, rate 0.0075 (five times Inception's), decay six times
faster than GoogLeNet's, weight decay 5 times weaker, no dropout, no LRN, weaker photometric
distortions; single crops; population statistics over batches of the trained net (algorithm 2).
Silent: crops, mean, momentum and what decays are GoogLeNet's (configs/googlenet.py), how weak the
distortions are (half), how many these batches and 60 epochs are ours.
Price on 2 busy CPU cores: digits 4 minutes. Result: digits 98.1 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Updates are synchronous; the paper's are asynchronous, of five replicas with BatchNorm by each.
- Images are shuffled anew in every epoch, not within shards: what the paper's own change aims at.
- The weight decay is a fifth of a value that is not printed (2e-4, the Caffe replication's).
On small sets: 32 px, unit deviation, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("bn_inception", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "bn_inception"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 8.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 32
    config.epochs = 60.0
    config.optimizer.name = "momentum"
    config.optimizer.rate_inside = True
    config.optimizer.learning_rate = 0.0075
    config.optimizer.weight_decay = 4e-05
    config.schedule.gamma = 0.96
    config.schedule.every_epochs = 8.0 / 6.0
    config.data.normalisation = "channel_mean"
    config.data.resize = 256
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.population_statistics = 25_600
    config.augment = ("horizontal_flip", "colour_jitter(0.25, 0.25, 0.25)", "pca_colour(0.05)")
    return config
