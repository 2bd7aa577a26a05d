"""A run of seconds that has everything which a resumed run could get wrong.

Dropout, BatchNorm, shuffling, augmentation, averaged weights, a plateau and a
checkpoint at every fourth step, on 8x8 digits.
"""

from ml_collections import ConfigDict

from configs.base import base


def get_config(parallel: str = "jit") -> ConfigDict:
    config = base("tiny", "digits", image_size=8)
    config.epochs = 2.0
    config.batch_size = 64
    config.eval_every_epochs = 0.5
    config.log_every_steps = 5
    config.parallel = parallel
    config.average_decay = 0.9
    config.augment = ("pad_and_crop(1)",)
    config.model.name = "mlp"
    config.model.hidden = (16,)
    config.model.norm = "batch"
    config.model.dropout = 0.2
    config.schedule.name = "plateau"
    config.schedule.patience = 1
    config.checkpoint.every_steps = 4
    return config
