"""What a trained net makes of images at chosen stages, as arrays on the disk.

    python -m cnn_jax.tools.extract_features --workdir=RUN --stage=layer3 --out=DIR
    python -m cnn_jax.tools.extract_features --config=CONFIG --weights=DIR --stage=all --whole ...

The weights are those of a workdir's best checkpoint, or of a folder of imported ones. DIR/SPLIT
holds one .npy a stage, `labels.npy`, `ids.npy` and `features.json`: the mean of each map, or, with
--whole, the maps. A stage is a name of the net's (`layer3`: the end of its last block;
`layer3_0/conv1`: a convolution in it), or `all`. Images come as evaluation sees them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from absl import flags

from cnn_jax import cli

if TYPE_CHECKING:
    from cnn_jax.transfer.features import FeatureFolder

SPLITS: tuple[Literal["train", "validation", "test"], ...] = ("train", "validation", "test")


def main(argv: Sequence[str]) -> None:
    from cnn_jax.analysis.trained_net import load_trained_net

    del argv
    net = load_trained_net(CONFIG.value, WORKDIR.value, WEIGHTS.value)
    points = net.resolve(STAGE.value)
    for split in SPLITS:
        chosen = not SPLIT.value or split in SPLIT.value
        if chosen and len(net.experiment.dataset.split(split)):
            folder = Path(OUT.value) / split
            features = net.write_features(folder, split, points, pooled=not WHOLE.value)
            print(f"{folder}: {len(net.experiment.dataset.split(split)):,} examples")
            print("\n".join(sizes(features, points)))


def sizes(features: FeatureFolder, points: Sequence[str]) -> list[str]:
    """A line a point: the shape in its file, and how large that is."""
    lines = []
    for point in points:
        shape, path = features.read(point).shape, features.path(point)
        size = path.stat().st_size / 1e6
        lines.append(f"  {path.name}: {'x'.join(map(str, shape))}, {size:,.1f} MB")
    return lines


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    STAGE = flags.DEFINE_multi_string("stage", None, "Where to read; repeatable.", required=True)
    SPLIT = flags.DEFINE_multi_enum("split", [], SPLITS, "Which splits; default: all.")
    WHOLE = flags.DEFINE_bool("whole", False, "Whole maps instead of the mean of each.")
    OUT = cli.define_folder("out", None, "Folder to write.", required=True)
    cli.run(main)
