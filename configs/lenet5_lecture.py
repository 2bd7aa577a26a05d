"""LeNet-5 of lecture notes: sigmoids inside, tanh at F6, 61,706 parameters.

    python -m cnn_jax.main --config=configs/lenet5_lecture.py[:digits|mnist|fashion_mnist|...]

As configs/lenet5.py in all but the two non-linearities.
Price on 2 CPU cores: digits a minute. Result: digits 95.3 % test accuracy, one seed.
What differs from LeCun et al. 1998: what differs there, and the sigmoids.
"""

from ml_collections import ConfigDict

from configs import lenet5


def get_config(dataset: str = "digits") -> ConfigDict:
    config = lenet5.get_config(dataset)
    config.name = "lenet5_lecture"
    config.model.activation = "sigmoid"
    config.model.f6 = "tanh"
    return config
