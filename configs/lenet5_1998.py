"""LeNet-5 as published, 60,000 trainable parameters (LeCun et al., Proc. IEEE 86(11), 1998).

    python -m cnn_jax.main --config=configs/lenet5_1998.py[:digits|mnist|...]

The paper's inputs (-0.1 for the background, 1.175 for ink), its loss (eq. 9) and 20 epochs.
Price on 2 CPU cores: digits a minute, mnist 5 minutes (190 CPU seconds). Result: digits 97.5 % test
accuracy; mnist 1.05 ± 0.05 % test error, 3 seeds (paper: 0.95 % without distortions).
Deviations: Adam for the stochastic diagonal Levenberg-Marquardt method; batches of 32 and 64.
"""

from ml_collections import ConfigDict

from configs.base import base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("lenet5_1998", dataset, image_size=32)
    config.epochs = 40.0 if dataset == "digits" else 20.0
    config.batch_size = 32 if dataset == "digits" else 64
    config.model.name = "lenet5_1998"
    config.data.normalisation = "lecun1998"
    config.loss.name = "lecun1998"
    config.optimizer.learning_rate = 2e-3
    config.schedule.gamma = 0.9
    return config
