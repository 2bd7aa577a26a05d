"""AlexNet, two towers, 60,965,224 parameters (Krizhevsky, Sutskever, Hinton, NIPS 2012).

    python -m cnn_jax.main --config=configs/alexnet.py[:DATASET]

imagenet2012: the middle 256x256 of the resized image, of it a random crop, flips and PCA colour,
grey levels minus the mean image (sec. 2, 4.1); batch 128, momentum 0.9 with the rate inside, weight
decay 5e-4, rate 0.01 divided by 10 when the validation error stops falling, about 90 epochs (sec.
5); the report is over ten crops (sec. 4.1). Silent, so ours: biases are not decayed, as in Caffe's
train_val.prototxt; five evaluations of patience.
Price on 2 busy CPU cores: digits 9 minutes. Result: digits 83.6 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- 227 px, not 224: its 55x55 maps need them (models/alexnet.py).
- The mean image is that of the middle crops of 227 px, not the crop's own part of a 256 px one.
- PCA colour by standard deviations, as the author's cuda-convnet2 has it (convdata.py); the paper
  prints the eigenvalues, whose unit is a square. That code also divides the image by 1.1.
- Each epoch has its own crops; the paper's set is 2,048 times as large by shifts and flips alike.
- The plateau's factor is taken of the whole update, what the momentum gathered included; by hand in
  the paper, three times in all.
- ILSVRC-2012's images; table 1 and the ablations of sec. 3 are of ILSVRC-2010.
On small sets: 67 px (the least it takes), unit deviation, Adam, half the dropout. At that scale LRN
is a constant. `alexnet.py:paper_scale[:DATASET]` has grey levels minus the mean image, so that
`--config.model.lrn=False` takes something away. What it changes of the paper: 67 px, Adam at 1e-4
in batches of 64 for momentum at 0.01, which 4,096 inputs of about 1 make too much for ten classes;
no dropout and no weight decay, for a few epochs.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(argument: str = "digits") -> ConfigDict:
    recipe, _, named = argument.partition(":")
    is_scaled = recipe == "paper_scale"
    dataset = (named or "digits") if is_scaled else argument
    config = base("alexnet", dataset, image_size=227 if argument == IMAGENET else 67)
    config.model.name = "alexnet"

    if argument == IMAGENET:
        return as_published(config)
    if is_scaled:
        return at_paper_scale(config)
    config.model.dropout = 0.25
    config.data.fit = "bilinear"

    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.0003
    config.schedule.gamma = 0.9
    return config


def at_paper_scale(config: ConfigDict) -> ConfigDict:
    config.name = "alexnet-paper_scale"
    config.model.dropout = 0.0
    config.data.fit = "bilinear"
    config.data.normalisation = "mean_image"

    config.epochs = 8.0
    config.batch_size = 64
    config.optimizer.learning_rate = 1e-4
    config.schedule.name = "constant"
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 128
    config.epochs = 90.0
    config.optimizer.name = "momentum"
    config.optimizer.rate_inside = True
    config.optimizer.learning_rate = 0.01
    config.optimizer.weight_decay = 0.0005

    config.schedule.name = "plateau"
    config.schedule.gamma = 0.1
    config.data.normalisation = "mean_image"
    config.data.resize = 256
    config.data.train_crop = "random_crop(256)"
    config.augment = ("horizontal_flip", "pca_colour(0.1)")
    config.protocol = "ten_crop(256)"
    return config
