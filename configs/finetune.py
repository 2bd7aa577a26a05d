"""Photographs by trained weights: ResNet-18 at 224 px, the head first, then everything.

    python -m cnn_jax.main --config=configs/finetune.py:folder:PHOTOS

PHOTOS holds one folder of images a class, a few dozen each are enough. The weights are
torchvision's, fetched the first time; `--config.init.from=WEIGHTS` names others (`cnn_jax
weights`), a run, or what `cnn_jax import_weights` has made of a file. Random crops of a third of
the area and more, mirrored; Adam with decoupled decay, the rate 3e-4 after a warm-up of two epochs,
then down a cosine. For the first epoch the head alone is trained, which begins fresh: gradients of
a random head would spoil the stages below.

Another net of these stages is `--config.model.name=resnet50_v1_5
--config.init.from=resnet50.tv_in1k`; of another net, such as `mobilenet_v2` with
`mobilenetv2_100.ra_in1k`, name its stages (`cnn_jax summarize NAME`) in `unfreeze`, or train
everything at once, `--config.unfreeze="()"`.
Price: `--dry_run` says it for your machine. Result: 53.8 % (42.9 to 64.5) of 78 paintings by ten
painters, one seed, by `--config.data.image_size=64` and `--config.init.from` a run of
`--config=resnet18:cifar10`.
The recipe is this project's own, of common parts (He et al., CVPR 2019; Goyal et al. 2017).
"""

from ml_collections import ConfigDict

from configs.base import base
from configs.photos import augment_photographs


def get_config(dataset: str = "digits") -> ConfigDict:
    config = base("finetune", dataset, image_size=224)
    config.model.name = "resnet18"
    config.data.channels = 3
    if config.data.fit == "pad":
        config.data.fit = "bilinear"
    augment_photographs(config)
    config.init["from"], config.init.head = "resnet18.tv_in1k", "drop"
    config.unfreeze = (("conv1", 1.0), ("layer[1234]", 1.0))
    config.epochs = 15.0
    config.batch_size = 32
    config.eval_batch_size = 100
    config.log_every_steps = 10
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 3e-4
    config.optimizer.weight_decay = 0.05
    config.schedule.name = "cosine"
    config.schedule.warmup_epochs = 2.0
    return config
