"""Paintings by painter: ResNet-50 from scratch, fine-tuned, in part frozen, and modified.

    python -m cnn_jax.main --config=configs/artworks.py:ROW --config.data.name=folder:PATH

PATH holds one folder of images a class. The rows, all at 224x224x3 with Adam, cross-entropy, the
rate times 0.7 after every epoch, and turns by 90, 180 and 270 degrees:

- `scratch`: rate 3e-3.
- `finetune`: rate 3e-4, everything is trained, from `--config.init.from=WEIGHTS`.
- `freeze_1_4`: the same with the head alone trained; `freeze_1_3`: the last stage and the head. The
  frozen BatchNorms use their population statistics.
- `modified`: from scratch, GELU for ReLU, depthwise 3x3, CBAM; `gelu`, `depthwise` and `cbam` each
  alone. (`resnet50_modified` with the stride of v1.5.)

The net is `resnet50_v1_5`, whose weights torchvision publishes as `resnet50`; import them by

    python -m cnn_jax.tools.import_weights --model=resnet50_v1_5 --weights=F --out=weights/resnet50

On a laptop: `--config.model.name=resnet18 --config.data.image_size=64`, and weights from
`configs/resnet18.py:cifar10`.
Price and result: `python -m experiments.run paintings_finetune --input=data=PATH
--input=weights=DIR` compares the rows; committed in experiments/results/artworks is ResNet-18 at
64 px: 53.8 % fine-tuned, 41.1 % from scratch.
Another dataset is named after the row: `configs/artworks.py:scratch:cifar10`.
"""

from ml_collections import ConfigDict

from configs.base import base, variant

CHANGES = {
    "gelu": {"activation": "gelu"},
    "depthwise": {"depthwise": True},
    "cbam": {"attention": "cbam"},
}
MODIFIED = {key: value for change in CHANGES.values() for key, value in change.items()}
FROZEN = {
    "finetune": (),
    "freeze_1_4": ("conv1", "layer[1234]"),
    "freeze_1_3": ("conv1", "layer[123]"),
}
ROWS = ("scratch", *FROZEN, "modified", *CHANGES)


def get_config(argument: str = "scratch:digits") -> ConfigDict:
    row, dataset = variant(argument, ROWS, "row", "scratch")
    config = base("artworks", dataset or "folder:paintings", image_size=224)
    config.name = f"artworks-{row}"
    config.model.name = "resnet50_v1_5"
    if config.data.fit == "pad":
        config.data.fit = "bilinear"
    config.data.channels = 3
    config.epochs = 10.0
    config.batch_size = 32
    config.eval_batch_size = 100
    config.log_every_steps = 10
    config.augment = ("rotate_quarter",)
    config.optimizer.learning_rate = 3e-3
    config.schedule.gamma = 0.7
    if row in FROZEN:
        config.init["from"], config.init.head = "weights/resnet50", "drop"
        config.optimizer.learning_rate = 3e-4
        config.freeze = FROZEN[row]
    config.model.update(MODIFIED if row == "modified" else CHANGES.get(row, {}))
    return config
