"""MobileNet v2, 3,504,872 parameters (Sandler et al., CVPR 2018).

    python -m cnn_jax.main --config=configs/mobilenet_v2.py[:DATASET]

imagenet2012: RMSProp with decay and momentum 0.9, weight decay 4e-5, rate 0.045 times 0.98 every
epoch, batch 96 (sec. 6.1). Silent: label smoothing, averaged weights and 5.5 million steps are
those of the authors' mobilenet/README.md, epsilon of slim's train_image_classifier.py, no decay of
the depthwise filters of mobilenet.py; crops, colours, scale and the centre crop are slim's
inception_preprocessing.py.
Price on 2 busy CPU cores: digits 3 minutes. Result: digits 85.0 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Updates are synchronous; the paper's are asynchronous, of 16 workers with 96 images each.
- Brightness changes before saturation; slim draws which is first. Crops are not drawn about the
  annotated boxes.
- BatchNorm's momentum and epsilon and the initialisation are models/mobilenet_v2.py's, not
  slim's (0.997, 1e-3, truncated N(0, 0.09)); the paper is silent.
On small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("mobilenet_v2", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "mobilenet_v2"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 96
    config.epochs = 412.0  # 5.5 million steps
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.momentum = 0.9
    config.optimizer.learning_rate = 0.045
    config.optimizer.weight_decay = 4e-5
    config.optimizer.decay_except = ("bottleneck*/depthwise",)
    config.optimizer.eps = 1.0
    config.schedule.gamma = 0.98
    config.schedule.every_epochs = 1.0
    config.loss.label_smoothing = 0.1
    config.average_decay = 0.9999
    config.data.normalisation = "minus_one_to_one"
    config.data.train_crop = "random_resized_crop(0.05, 1)"
    config.augment = ("horizontal_flip", "brightness(0.12549)", "saturation(0.5)")  # 32 of 255
    return config
