"""MobileNet v1, width 1, 4,231,976 parameters (Howard et al. 2017).

    python -m cnn_jax.main --config=configs/mobilenet_v1.py[:DATASET]

imagenet2012: RMSProp and no weight decay on the depthwise filters (sec. 3.2; slim's
mobilenet_v1.py, regularize_depthwise=False). Silent: rate, schedule and batch are MobileNet v2's
(sec. 6.1); momentum, epsilon and decay those of slim's train_image_classifier.py; crops, scale and
the centre crop of slim's inception_preprocessing.py; flips alone and 300 epochs are ours.
Price on 2 busy CPU cores: digits 3 minutes. Result: digits 80.5 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- Updates are synchronous, of one batch; the paper's are asynchronous, of how many is not said.
- Crops are Inception's, 5 to 100 % of the area; sec. 3.2 limits the small ones, to what it does not
  say. They are not drawn about the annotated boxes, which slim uses where it has them.
- slim's mobilenet_v1_train.py has plain SGD; here it is the RMSProp of the text.
- BatchNorm's momentum and epsilon and the initialisation are models/mobilenet_v1.py's, not
  slim's (0.9997, 1e-3, truncated N(0, 0.09)); the paper is silent.
On small sets: 32-pixel images, Adam.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("mobilenet_v1", dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = "mobilenet_v1"

    if dataset == IMAGENET:
        return as_published(config)
    config.epochs = 15.0
    config.batch_size = 32
    config.optimizer.learning_rate = 0.001
    config.schedule.gamma = 0.8
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 96
    config.epochs = 300.0
    config.optimizer.name = "rmsprop_tf"
    config.optimizer.momentum = 0.9
    config.optimizer.learning_rate = 0.045
    config.optimizer.weight_decay = 4e-5
    config.optimizer.decay_except = ("block*/depthwise",)
    config.optimizer.eps = 1.0
    config.schedule.gamma = 0.98
    config.schedule.every_epochs = 1.0
    config.data.normalisation = "minus_one_to_one"
    config.data.train_crop = "random_resized_crop(0.05, 1)"
    config.augment = ("horizontal_flip",)
    return config
