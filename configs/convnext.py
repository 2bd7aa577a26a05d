"""ConvNeXt-T, 28,589,128 parameters (Liu et al., CVPR 2022).

    python -m cnn_jax.main --config=configs/convnext.py[:DATASET]

imagenet2012: appendix A.1: AdamW, rate 4e-3, batch 4096, weight decay 0.05, 300 epochs of cosine
after 20 of linear warm-up, label smoothing 0.1, averaged weights (0.9999); without its mixup,
CutMix, RandAugment and random erasing.
Price and result: not measured yet; `--dry_run` says the price on your machine.
Deviations on small sets: 32-pixel images, Adam.
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
    config.schedule.warmup_epochs = 20.0
    config.loss.label_smoothing = 0.1
    config.average_decay = 0.9999
    config.augment = ("horizontal_flip",)
    return config
