"""AlexNet of Geron's "Hands-on machine learning", table 13-2, one tower, 201,838,952 parameters.

    python -m cnn_jax.main --config=configs/alexnet_geron.py[:DATASET]

imagenet2012: 224 px; the book gives the layers and no recipe, so that this is configs/alexnet.py's.
Price on 2 busy CPU cores: digits 2 minutes. Result: digits 53.5 % test accuracy after 15
epochs, one seed.
What differs on small sets: 35-pixel images, as many maps as AlexNet has of 67, Adam, half the
dropout.
"""

from ml_collections import ConfigDict

from configs import alexnet
from configs.base import IMAGENET


def get_config(dataset: str = "digits") -> ConfigDict:
    config = alexnet.get_config(dataset)
    config.name = "alexnet_geron"
    config.model.name = "alexnet_geron"
    config.data.image_size = 224 if dataset == IMAGENET else 35
    return config
