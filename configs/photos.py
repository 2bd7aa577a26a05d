"""Photographs from nothing: ResNet-18 at 128 px with every common regularisation.

    python -m cnn_jax.main --config=configs/photos.py:folder:PHOTOS

PHOTOS holds one folder of images a class. With fewer than some hundred images a class trained
weights do better, see configs/finetune.py; this is the recipe where there are none that fit. Random
crops of a third of the area and more, mirrored, brightness, contrast and saturation changed by up
to a fifth, labels smoothed by 0.1, Nesterov momentum with weight decay 5e-4, the rate 0.05 after a
warm-up of five epochs, then down a cosine, over 60 epochs.
Price: `--dry_run` says it for your machine. Result: 50.0 % (39.2 to 60.8) of 78 paintings by ten
painters, one seed, by `--config.data.image_size=32`.
The recipe is this project's own, of common parts (Szegedy et al. 2016; He et al., CVPR 2019).
"""

from ml_collections import ConfigDict

from configs.base import PHOTOS, base


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("photos", dataset, image_size=128)
    config.model.name = "resnet18"
    config.data.channels = 3
    config.augment = ("brightness(0.2)", "contrast(0.2)", "saturation(0.2)")
    if config.data.fit == "pad":
        config.data.fit = "bilinear"
    augment_photographs(config)
    config.epochs = 60.0
    config.batch_size = 32
    config.eval_batch_size = 100
    config.log_every_steps = 10
    if config.loss.name == "softmax_cross_entropy":
        config.loss.label_smoothing = 0.1
    config.optimizer.name = "nesterov"
    config.optimizer.learning_rate = 0.05
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 5.0
    return config


def augment_photographs(config: ConfigDict) -> None:
    """Crops of a third of the area and more, mirrored, where the data are photographs."""
    if config.data.fit == PHOTOS["fit"]:
        config.data.train_crop = "random_resized_crop(0.35, 1)"
        config.augment = ("horizontal_flip", *config.augment)
