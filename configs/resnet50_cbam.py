"""ResNet-50 with CBAM, 28,089,624 parameters (Woo, Park, Lee, Kweon, ECCV 2018).

    python -m cnn_jax.main --config=configs/resnet50_cbam.py[:DATASET]

imagenet2012: rate 0.1 divided by 10 every 30 epochs of 90, ResNet's crops and flips, the middle 224
pixels (sec. 4.1). Silent: batch 256, momentum 0.9 with the rate outside, weight decay 1e-4 of
vectors too, crops of 8 to 100 % of the area, means and the 256 pixels are those of the authors'
train_imagenet.py.
Price on 2 busy CPU cores: digits 3 minutes. Result: digits 97.8 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- The stride is in the first 1x1, as table 4's 3.864 G have it; the authors' code has it in the 3x3
  (`--config.model.stride_in=3x3`).
- BatchNorm sees the whole batch; the authors' GPUs see their own part.
On small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET
from configs.resnet50 import start


def get_config(dataset: str = "digits") -> ConfigDict:
    config = start("resnet50_cbam", dataset)
    return as_published(config) if dataset == IMAGENET else config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 90.0
    config.optimizer.name = "momentum"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_vectors = True
    config.schedule.name = "step"
    config.schedule.gamma = 0.1
    config.schedule.at_epochs = (30.0, 60.0)
    config.data.normalisation = "imagenet"
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.augment = ("horizontal_flip",)
    return config
