"""LeNet-5 as it is taught today (61,706 parameters): LeCun et al., Proc. IEEE 86(11), 1998.

python -m cnn_jax.main --config=configs/lenet5.py[:digits|mnist|fashion_mnist|cifar10|...]
"""

from ml_collections import ConfigDict

from configs.base import base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("lenet5", dataset, image_size=32)
    config.epochs = 30.0 if dataset == "digits" else 20.0
    config.batch_size = 32 if dataset == "digits" else 64
    config.model.name = "lenet5"
    config.model.c3 = "full"
    config.model.pooling = "avg"
    config.model.output = "linear"
    config.model.activation = "tanh"
    config.model.norm = "none"
    config.model.dropout = 0.0
    config.model.initialiser = "glorot"
    config.optimizer.learning_rate = 2e-3
    config.schedule.gamma = 0.9
    return config
