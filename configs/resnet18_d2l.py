"""ResNet-18 of "Dive into deep learning" (Zhang et al., "Residual networks"), 11,178,378 weights.

    python -m cnn_jax.main --config=configs/resnet18_d2l.py[:digits|fashion_mnist|...]

fashion_mnist: the book's run: 96x96 in [0, 1], SGD at a constant 0.01, batch 128, 10 epochs. The
book prints curves and no table.
Price: digits 70 s on 2 CPU cores; fashion_mnist 9.9 h on 2 busy ones by `--dry_run`, and no run of
it is recorded. Result: digits 98.3 % test accuracy, one seed.
What differs from the book: 5,000 of its training images are held out, where the book watches test.
On other sets: 32-pixel images; on digits batches of 32.
"""

from ml_collections import ConfigDict

from configs.base import base


def get_config(dataset: str = "digits") -> ConfigDict:
    book = dataset == "fashion_mnist"
    config = base("resnet18_d2l", dataset, image_size=96 if book else 32)
    config.model.name = "resnet18_d2l"
    config.data.normalisation = "none"
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.01
    config.schedule.name = "constant"
    if book:
        config.data.fit = "bilinear"
    if dataset == "digits":
        config.batch_size = 32
    return config
