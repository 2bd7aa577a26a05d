"""What a trained net makes of images at chosen stages, as arrays on the disk.

    python -m cnn_jax.tools.extract_features --config=CONFIG --workdir=RUN --stage=layer3 --out=DIR
    python -m cnn_jax.tools.extract_features --config=CONFIG --weights=DIR --stage=all --whole ...

The weights are those of a workdir's best checkpoint, or of a folder of imported ones. DIR/SPLIT
holds one .npy a stage, `labels.npy`, `ids.npy` and `features.json`: the mean of each map, or, with
--whole, the maps. A stage is a name of the net's (`layer3`: the end of its last block;
`layer3_0/conv1`: a convolution in it), or `all`. Images come as evaluation sees them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError

SPLITS = ("train", "validation", "test")


def main(argv: Sequence[str]) -> None:
    del argv
    net = trained_net(CONFIG.value, WORKDIR.value, WEIGHTS.value)
    points = net.resolve(STAGE.value)
    for split in SPLIT.value or SPLITS:
        if len(net.run.dataset.split(split)):
            folder = Path(OUT.value) / split
            net.write(folder, split, points, pooled=not WHOLE.value)
            size = sum(f.stat().st_size for f in folder.glob("*.npy")) / 1e6
            print(f"{folder}: {len(net.run.dataset.split(split)):,} examples, {size:,.1f} MB")
    for point in points:
        print(f"  {point}: {'x'.join(map(str, net.points.shapes[point]))}")


def trained_net(config: Any, workdir: str | None, weights: str | None, dataset: Any = None) -> Any:
    """The net of a config with the weights of a workdir or of an imported folder."""
    if config is None:
        raise UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    if workdir and weights:
        raise UserError("--workdir and --weights are both given: choose one")
    path = workdir or weights or config.init["from"]
    if not path:
        raise UserError("name the weights: --workdir=RUN or --weights=DIR")
    from cnn_jax.training.experiment import make_run

    config = config.copy_and_resolve_references()
    config.init["from"], config.freeze, config.unfreeze = path, (), ()
    config.optimizer.groups, config.optimizer.layer_decay = (), 1.0
    return Trained(make_run(config, dataset))


@dataclasses.dataclass
class Trained:
    """A run whose net has its weights, and where that net can be read."""

    run: Any

    def __post_init__(self) -> None:
        from cnn_jax.transfer.features import CapturePoints

        shape = self.run.dataset.train.image_shape
        self.points = CapturePoints.of(self.run.recipe.model, shape)
        self.variables = self.run.steps.init()[0].variables

    def resolve(self, asked: Sequence[str]) -> list[str]:
        """The points of the names; raises `UserError` for a head that was not trained."""
        names = self.points.resolve(asked)
        fresh = {tensor.split("/")[1] for tensor in self.run.initial_weights.randomly_initialised}
        if untrained := [name for name in names if name.split("/")[0] in fresh]:
            raise UserError(f"stage={untrained[0]!r} has no trained weights: it begins fresh")
        return names

    def identity(self, split: str, pooled: bool) -> dict[str, Any]:
        """What the features of a split depend on, beside the points."""
        from cnn_jax.runtime import workdir
        from cnn_jax.transfer.features import content_hash

        run, flat = self.run, workdir.flat(self.run.config)
        kept = [k for k in flat if k.startswith(("model.", "data.")) and k not in workdir.FREE_KEYS]
        return {
            "weights": run.initial_weights.weights.sha256,
            "config": {key: flat[key] for key in ["dtype", *kept]},
            "split": split,
            "images": [content_hash(run.dataset.split(s)) for s in dict.fromkeys(("train", split))],
            "pooled": pooled,
        }

    def write(self, folder: Path, split: str, points: Sequence[str], pooled: bool = True) -> Any:
        """The features of a split at some points, into a folder."""
        from cnn_jax.runtime import workdir
        from cnn_jax.transfer.features import FeatureFolder, make_extract_step

        run, shapes = self.run, {}
        for point in points:
            shape = self.points.shapes[point]
            shapes[point] = shape[-1:] if pooled and len(shape) == 3 else shape
        step = make_extract_step(
            run.recipe.model, run.recipe.normalise, points, pooled, run.devices
        )
        about = {
            **self.identity(split, pooled),
            "source": run.initial_weights.weights.source,
            "classes": list(run.dataset.task.classes),
            "versions": workdir.versions(),
        }
        features = FeatureFolder(Path(folder))
        part = run.dataset.split(split)
        batches = run.evaluator(split).batches
        features.write(step, self.variables, batches, part, shapes, about)
        return features

    def cached(self, root: Path, split: str, points: Sequence[str]) -> Any:
        """The pooled features of a split, from the cache or by one pass over its images."""
        from cnn_jax.transfer.features import FeatureFolder, cache_key

        features = FeatureFolder(root.expanduser() / cache_key(self.identity(split, True)))
        there = features.header.get("points", {})
        if missing := [point for point in points if point not in there]:
            self.write(features.folder, split, missing)
        return features


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    STAGE = flags.DEFINE_multi_string("stage", None, "Where to read; repeatable.", required=True)
    SPLIT = flags.DEFINE_multi_enum("split", [], SPLITS, "Which splits; default: all.")
    WHOLE = flags.DEFINE_bool("whole", False, "Whole maps instead of the mean of each.")
    OUT = flags.DEFINE_string("out", None, "Folder to write.", required=True)
    cli.run(main)
