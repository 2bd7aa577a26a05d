"""ResNeXt-50, 32x4d, 25,028,904 parameters (Xie et al., CVPR 2017).

    python -m cnn_jax.main --config=configs/resnext50.py[:DATASET]

imagenet2012: crops of 8 to 100 % of the area, batch 256, momentum 0.9, weight decay 1e-4, rate 0.1
divided by 10 three times (sec. 4). Silent: after epochs 30, 60 and 90 of 100, Nesterov's form, the
rate outside the momentum, decay of vectors too, colours and means are those of the authors' code
(train.lua, opts.lua, datasets/imagenet.lua).
Price on 2 busy CPU cores: digits 8 minutes. Result: digits 93.6 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Photographs are resized bilinearly, antialiased; the authors' resizing is bicubic in training.
- PCA colour by the training split's own eigenvalues; the authors' are constants.
- BatchNorm sees the whole batch; the paper's GPUs see their own 32 images.
On small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET
from configs.resnet50 import start


def get_config(dataset: str = "digits") -> ConfigDict:
    config = start("resnext50", dataset)
    config.model.name = "resnext50_32x4d"
    return as_published(config) if dataset == IMAGENET else config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 100.0
    config.optimizer.name = "nesterov"
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-4
    config.optimizer.decay_vectors = True
    config.schedule.name = "step"
    config.schedule.gamma = 0.1
    config.schedule.at_epochs = (30.0, 60.0, 90.0)
    config.data.normalisation = "imagenet"
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.augment = ("colour_jitter(0.4, 0.4, 0.4)", "pca_lighting(0.1)", "horizontal_flip")
    return config
