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
from typing import Literal

from absl import flags

from cnn_jax import cli

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
            net.write_features(folder, split, points, pooled=not WHOLE.value)
            size = sum(f.stat().st_size for f in folder.glob("*.npy")) / 1e6
            print(
                f"{folder}: {len(net.experiment.dataset.split(split)):,} examples, {size:,.1f} MB"
            )
    for point in points:
        print(f"  {point}: {'x'.join(map(str, net.points.shapes[point]))}")


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    STAGE = flags.DEFINE_multi_string("stage", None, "Where to read; repeatable.", required=True)
    SPLIT = flags.DEFINE_multi_enum("split", [], SPLITS, "Which splits; default: all.")
    WHOLE = flags.DEFINE_bool("whole", False, "Whole maps instead of the mean of each.")
    OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
    cli.run(main)
