"""BN-LeNet of "Dive into deep learning" (Zhang et al.), "Batch normalization", 44,878 parameters.

    python -m cnn_jax.main --config=configs/bn_lenet_d2l.py[:digits|mnist|fashion_mnist|...]

fashion_mnist: the book's run: 28 pixels in [0, 1], sigmoids, averages, SGD at a constant 0.5, batch
128, 10 epochs. 0.5 is the rate of its TensorFlow tab; its other tabs have 0.1, its first edition
1.0 with batch 256. The book prints curves and no table.
Price on 2 CPU cores: digits 31 s, fashion_mnist 47 s. Result: digits 97.8 %, fashion_mnist 87.5 %
test accuracy, one seed.
What differs from the book: 5,000 of its training images are held out, where the book watches test;
BatchNorm's epsilon 1e-5 and momentum 0.9 are those of its PyTorch tab. On other sets, 30 epochs
with batch 32 (digits).
"""

from ml_collections import ConfigDict

from configs.base import base

SMALL = ("digits", "digits_angle", "mnist", "fashion_mnist")  # of at most 28 pixels


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("bn_lenet_d2l", dataset, image_size=28 if dataset in SMALL else 32)
    config.model.name = "bn_lenet_d2l"
    config.data.normalisation = "none"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.5
    config.schedule.name = "constant"
    if dataset.startswith("digits"):
        config.epochs = 30.0
        config.batch_size = 32
    return config
