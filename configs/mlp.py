"""The multilayer perceptron: 300 hidden units, 238,510 parameters on 28x28 images.

    python -m cnn_jax.main --config=configs/mlp.py[:digits|mnist|fashion_mnist|digits_angle|...]

Paper: LeCun et al. 1998, fig. 9: 4.7 % test error on MNIST for 28x28-300-10.
Price on 2 CPU cores: digits 25 s. Result: digits 96.9 % test accuracy.
Deviations: ReLU and softmax cross-entropy for the paper's sigmoids and squared error.
"""

from ml_collections import ConfigDict

from configs import perceptron


def get_config(dataset: str = "digits") -> ConfigDict:
    config = perceptron.get_config(dataset)
    config.name = "mlp"
    config.model.name = "mlp"
    return config
