"""ResNet-50, stride in the first 1x1, 25,557,032 parameters (He, Zhang, Ren, Sun, CVPR 2016).

    python -m cnn_jax.main --config=configs/resnet50.py[:DATASET]

imagenet2012: the shorter side in [256, 480] and a random crop, flips and AlexNet's colours, minus
the mean image; batch 256, momentum 0.9, weight decay 1e-4, rate 0.1 divided by 10 when the error
stops falling, 60e4 iterations; the report is over ten crops (sec. 3.4). Best figures (table 4):
`--config.protocol='multi_scale(224, 256, 384, 480, 640)'`. The report's population statistics are
over training images of the trained net, as the release's ("not moving average", its README).
Silent, so ours: how many images these are; vectors are not decayed, and the rate is inside the
momentum, as in Caffe, its framework; five evaluations of patience; PCA colour by standard
deviations, as in configs/alexnet.py.
Price on 2 busy CPU cores: digits 6 minutes. Result: digits 95.3 % test accuracy, one seed;
imagenet2012 is not trained here (`--dry_run` says the price on your machine).

What differs from the paper:
- The mean image is that of the middle crops of 224 px, whatever part of a photograph is seen.
- The plateau's factor is taken of the whole update, what the momentum gathered included.
- BatchNorm is over the batch; the authors' is over the 32 images of each of eight GPUs, which
  `--config.parallel=pmap` is on eight devices.
- Dense evaluation is of the middle square, and minus the mean of each channel.
On small sets: 32 px, unit deviation, Adam; photographs in a folder are cropped at random and
mirrored. `--config.model.name=resnet50_v1_5`, `resnet50_cbam`, `resnet50_modified`, `seresnet50`,
`wide_resnet50_2`, `resnext50_32x4d`, ... train its relatives.
"""

from ml_collections import ConfigDict

from configs.base import IMAGENET, base
from configs.photos import augment_photographs


def get_config(dataset: str = "digits") -> ConfigDict:
    config = start("resnet50", dataset)
    return as_published(config) if dataset == IMAGENET else config


def start(name: str, dataset: str) -> ConfigDict:
    """What the nets of this family share: 224 pixels of photographs, else small images and Adam."""
    config = base(name, dataset, image_size=224 if dataset == IMAGENET else 32)
    config.model.name = name
    if dataset != IMAGENET:
        config.epochs = 10.0
        config.batch_size = 32
        config.optimizer.learning_rate = 0.001
        config.schedule.gamma = 0.7
        augment_photographs(config)
    return config


def as_published(config: ConfigDict) -> ConfigDict:
    config.batch_size = 256
    config.epochs = 600_000 * 256 / 1_281_167  # 60e4 iterations
    config.optimizer.name = "momentum"
    config.optimizer.rate_inside = True
    config.optimizer.learning_rate = 0.1
    config.optimizer.weight_decay = 0.0001
    config.schedule.name = "plateau"
    config.schedule.gamma = 0.1
    config.data.normalisation = "mean_image"
    config.data.resize = 256
    config.data.train_crop = "scale_jitter(256, 480)"
    config.augment = ("horizontal_flip", "pca_colour(0.1)")
    config.protocol = "ten_crop(256)"
    config.population_statistics = 25_600
    return config
