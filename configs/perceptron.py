"""The perceptron: one linear layer and a softmax, 7,850 parameters on 28x28 images.

    python -m cnn_jax.main --config=configs/perceptron.py[:digits|mnist|fashion_mnist|cifar10|...]

Paper: LeCun et al. 1998, fig. 9: 12.0 % test error on MNIST for a linear classifier.
Price on 2 CPU cores: digits 20 s. Result: digits 91.1 % test accuracy.
"""

from ml_collections import ConfigDict

from configs.base import base

NATIVE = {"digits": 8, "mnist": 28, "fashion_mnist": 28}


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("perceptron", dataset, image_size=NATIVE.get(dataset, 32))
    config.epochs = 30.0 if dataset == "digits" else 10.0
    config.batch_size = 32 if dataset == "digits" else 128
    config.model.name = "perceptron"
    config.schedule.gamma = 0.9
    return config
