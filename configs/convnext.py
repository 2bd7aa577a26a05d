"""ConvNeXt-T, 28,589,128 parameters (Liu et al., CVPR 2022).

    python -m cnn_jax.main --config=configs/convnext.py[:DATASET]

imagenet2012: table 5: AdamW, rate 4e-3, batch 4096, weight decay 0.05, 300 epochs of cosine after
20 of linear warm-up, RandAugment (9, 0.5), mixup 0.8, CutMix 1.0, random erasing 0.25, label
smoothing 0.1, averaged weights (0.9999), stochastic depth 0.1. Silent: the cosine's end at 1e-6,
crops, means and the centre crop are those of the authors' main.py and datasets.py, and so is no
decay of vectors (optim_factory.py).
Price on 2 busy CPU cores: digits 4 minutes. Result: digits 96.4 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Mixup or CutMix is drawn for each image, with its neighbour in the batch; timm's draws once a
  batch, and mixes with the batch turned round.
- RandAugment does 2 of 14 operations at strength 9 of 10; timm's rand-m9-mstd0.5-inc1 draws 2 of
  15, leaves each out with probability 1/2, and varies the strength by a deviation of 0.5.
- What is erased is filled with uniform grey levels; timm's with normal noise, once normalised.
- Photographs are resized bilinearly, antialiased; the authors' resizing is bicubic.
On small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("convnext", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "convnext_tiny"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.0005
    config.schedule.gamma = 0.9
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 4096
    config.epochs = 300.0
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 4e-3
    config.optimizer.weight_decay = 0.05
    config.schedule.name = "cosine"
    config.schedule.final_fraction = 1e-6 / 4e-3
    config.schedule.warmup_epochs = 20.0
    config.loss.label_smoothing = 0.1
    config.average_decay = 0.9999
    config.data.normalisation = "imagenet"
    config.data.train_crop = "random_resized_crop(0.08, 1)"
    config.augment = (
        *("horizontal_flip", "rand_augment(2, 9)", "random_erasing(0.25, 0.02, 0.3333)"),
        "mixup_or_cutmix(0.8, 1.0)",
    )
    return config
