"""CIFAR-10 to 94 or 96 % test accuracy in little time on one accelerator.

    python -m cnn_jax.main --config=configs/speedrun.py[:94|96]
    python -m experiments.run speedrun_94 --scale=gpu

ResNet-18 for 32 pixels (3x3 stem), bfloat16, batch 512, Nesterov with one rise and a cosine's fall,
label smoothing, all 50,000 training images, one evaluation, at the end. 94: 16 epochs, pad and
crop, flips. 96: 40 epochs and a square cut out as well.
Price and result: not trained here, for want of an accelerator (`--dry_run` says the price).
Without an argument it is 94 on `digits`; a dataset is named after the target: `:94:cifar100`.
"""

from ml_collections import ConfigDict

from configs.base import base, variant

EPOCHS = {"94": 16.0, "96": 40.0}


def get_config(argument: str = "94:digits") -> ConfigDict:
    target, dataset = variant(argument, tuple(EPOCHS), "target", "94")
    config = base("speedrun", dataset or "cifar10", image_size=32)
    config.name = f"speedrun-{target}"
    config.model.name = "resnet18"
    config.model.stem = "3x3"
    config.dtype = "bfloat16"
    config.batch_size = 512
    config.eval_batch_size = 1000
    config.epochs = config.eval_every_epochs = EPOCHS[target]
    config.log_every_steps = 0
    if not dataset or dataset == "cifar10":
        config.data.validation = 0.0
    config.loss.label_smoothing = 0.1
    config.optimizer.name = "nesterov"
    config.optimizer.learning_rate = 0.2
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = EPOCHS[target] / 5
    config.augment = ("pad_and_crop(4)", "horizontal_flip")
    if target == "96":
        config.augment = (*config.augment, "cutout(8)")
    return config
