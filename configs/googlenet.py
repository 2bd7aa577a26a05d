"""GoogLeNet with its two auxiliary heads, 13,378,280 parameters (Szegedy et al., CVPR 2015).

    python -m cnn_jax.main --config=configs/googlenet.py[:DATASET]

imagenet2012: 8 to 100 % of the area at ratios of 3/4 to 4/3, flips and Howard's photometric
distortions, Polyak averaging, momentum 0.9, rate times 0.96 every 8 epochs (sec. 6), grey levels
minus a mean (sec. 5); the report is over 144 crops (sec. 7). Silent: batch and first rate are those
of Ioffe & Szegedy 2015, sec. 4.2 (32, 0.0015), weight decay (2e-4, not of biases) the Caffe
replication's, the average's decay (0.9999) Inception v3's release, the rate inside the momentum
Sutskever et al.'s, whom sec. 6 cites, and 250 epochs ours.
Price on 2 CPU cores: digits 4 minutes (376 CPU seconds). Result: digits 98.9 % test accuracy.

What differs from the paper:
- Updates are synchronous; the paper's are DistBelief's, asynchronous.
- Resizing is bilinear; the paper's is one of four methods, at random.
- "Sampling methods have changed substantially over the months": the paper knows no one recipe.
- Howard's lighting noise is PCA colour by standard deviations, as in configs/alexnet.py.
- One net, not the ensemble of seven.
On small sets: 32 px, unit deviation, Adam by a cosine, averaged weights, shifts of 3 pixels. At
that scale LRN is a constant: `--config.data.normalisation=channel_mean` is the paper's.
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
    config.optimizer.rate_inside = True
    config.optimizer.learning_rate = 0.0015
    config.optimizer.weight_decay = 0.0002
    config.schedule.gamma = 0.96
    config.schedule.every_epochs = 8.0
    config.average_decay = 0.9999
    config.data.normalisation = "channel_mean"
    config.data.resize = 256
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.augment = ("horizontal_flip", "colour_jitter(0.5, 0.5, 0.5)", "pca_colour(0.1)")
    config.protocol = "crops_144(256, 32)"
    return config
