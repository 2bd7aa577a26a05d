"""MobileNet v3 large, 5,483,032 parameters (Howard et al., ICCV 2019).

    python -m cnn_jax.main --config=configs/mobilenet_v3.py[:DATASET]

imagenet2012: RMSProp with momentum 0.9, rate 0.1 times 0.99 every 3 epochs, batch 4096, weight
decay 1e-5, averaged weights (0.9999), Inception's preprocessing (sec. 6.1.1; slim's
inception_preprocessing.py). Silent: epsilon is MnasNet's and EfficientNet's, no decay of the
depthwise filters that of slim's mobilenet.py, and 600 epochs are ours.
Price on 2 busy CPU cores: digits 4 minutes. Result: digits 93.0 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Brightness changes before saturation; slim draws which is first. Crops are not drawn about the
  annotated boxes.
- BatchNorm sees the whole batch; the paper's chips see their own 128 images (`parallel="pmap"` on
  32 devices does).
On small sets: 32-pixel images, Adam. `--config.model.name=mobilenet_v3_small` is the small one.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("mobilenet_v3", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "mobilenet_v3_large"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 4096
    config.epochs = 600.0
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.momentum = 0.9
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 1e-5
    config.optimizer.decay_except = ("bneck*/depthwise",)
    config.optimizer.eps = 1e-3
    config.schedule.gamma = 0.99
    config.schedule.every_epochs = 3.0
    config.data.normalisation = "minus_one_to_one"
    config.data.train_crop = "random_resized_crop(0.05, 1)"
    config.augment = ("horizontal_flip", "brightness(0.12549)", "saturation(0.5)")  # 32 of 255
    config.average_decay = 0.9999
    return config
