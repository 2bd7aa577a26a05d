"""What a config trains on, as a picture: images before and after augmentation, and class counts.

    python -m cnn_jax.tools.show_data --config=configs/lenet5.py:mnist --out=mnist.png
    python -m cnn_jax.tools.show_data --config=... --config.augment='("rotate(15)",)'

    python -m cnn_jax.tools.show_data --config=configs/resnet18.py:folder:PATH --each

Each row is an example of the first training batch: as it is, then in as many steps as there are
columns. The counts of every class in every split are printed and drawn. With --each, a row shows
one transform alone: each of `augment`, or each that there is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.progress import track


def main(argv: Sequence[str]) -> None:
    del argv
    config = CONFIG.value
    if config is None:
        raise UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    from cnn_jax import data
    from cnn_jax.training import config_checks

    config_checks.check(config)
    dataset = data.load(config.data)
    print(class_table(dataset))
    if EACH.value:
        plot_each_transform(config, dataset, Path(OUT.value), COLUMNS.value)
    else:
        plot_sheet(config, dataset, Path(OUT.value), ROWS.value, COLUMNS.value)
    print(f"\nthe picture is {OUT.value}")


def class_counts(dataset: Any) -> dict[str, list[int]]:
    """How many examples of each class there are, by split."""
    import numpy as np

    parts = ("train", "validation", "test")
    classes = len(dataset.task.classes)
    return {p: np.bincount(dataset.split(p).labels, minlength=classes).tolist() for p in parts}


def class_table(dataset: Any) -> str:
    """One row a class, one column a split."""
    if dataset.task.kind == "regression":
        sizes = ", ".join(f"{p} {len(dataset.split(p)):,}" for p in ("train", "validation", "test"))
        return f"{dataset.name}: {sizes}; a number in {dataset.task.unit}"
    by_split, names = class_counts(dataset), list(map(printable, dataset.task.classes))
    width = max(5, *map(len, names))
    lines = [f"{dataset.name}\n{'class':{width}}" + "".join(f"{p:>12}" for p in by_split)]
    for i, name in enumerate(names):
        lines.append(f"{name:{width}}" + "".join(f"{c[i]:>12,}" for c in by_split.values()))
    lines.append(f"{'all':{width}}" + "".join(f"{sum(c):>12,}" for c in by_split.values()))
    return "\n".join(lines)


def augmented_sheet(
    config: Any, dataset: Any, rows: int, columns: int
) -> tuple[Any, list[tuple[Any, Any]], Any]:
    """(images uint8 [rows, H, W, C], the same after each of `columns` steps, labels [rows])."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cnn_jax.data import augment
    from cnn_jax.data.images.random_crops import TrainCrop
    from cnn_jax.data.loading.sampler import TrainSampler
    from cnn_jax.data.loading.stream import BatchReader
    from cnn_jax.data.normalization import principal_colours
    from cnn_jax.runtime.rng_streams import rng_stream

    split, crop = dataset.train, None
    if config.data.train_crop:
        crop = TrainCrop.parse(config.data.train_crop, config.data.image_size)
    lights = augment.uses(config.augment, "pca_lighting")
    colours = principal_colours(split.images) if lights else None
    apply = jax.jit(augment.compose(config.augment, split.image_shape, dataset.task, colours))
    sampler = TrainSampler(len(split), min(rows, len(split)), columns, config.seed)
    rows_shown, mask = sampler.rows_at(0)
    reader = BatchReader(split, sampler, crop=crop, crop_seed=config.seed)
    plain = np.stack([split.images[int(row)] for row in rows_shown])
    after = []
    for step in track(range(columns), "augmenting"):
        batch = reader.read(rows_shown, mask, step)
        key = jax.random.fold_in(rng_stream(config.seed, "augment"), step)
        images = jnp.asarray(batch["image"], jnp.float32)
        images, targets = apply(key, jnp.asarray(batch["id"]), images, jnp.asarray(batch["label"]))
        after.append((np.asarray(jnp.clip(images, 0, 255)).astype(np.uint8), targets))
    return plain, after, split.labels[rows_shown]


def plot_sheet(config: Any, dataset: Any, out: Path, rows: int, columns: int) -> None:
    """The sheet, and under it the class counts."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plain, after, labels = augmented_sheet(config, dataset, rows, columns)
    rows = len(plain)
    classified = dataset.task.kind == "classification"
    figure = plt.figure(figsize=(1.25 * (columns + 1), 1.35 * rows + 2.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.35 * rows, 2.6])
    upper, lower = parts
    panels = upper.subplots(rows, columns + 1, squeeze=False)
    for column in range(columns + 1):
        images, targets = (plain, labels) if column == 0 else after[column - 1]
        for row in range(rows):
            panel = panels[row, column]
            show_image(panel, images[row])
            panel.set_xlabel(caption(dataset.task, targets, row), fontsize=7, labelpad=1)
    panels[0, 0].set_title("as it is", fontsize=8)
    for step in range(columns):
        panels[0, step + 1].set_title(f"step {step}", fontsize=8)
    transforms = ", ".join(config.augment) or "no augmentation"
    crop = f"{config.data.train_crop}; " if config.data.train_crop else ""
    upper.suptitle(f"{dataset.name}: {crop}{transforms}", fontsize=9)
    panel = lower.subplots()
    if classified:
        positions, floor = np.arange(len(dataset.task.classes)), 0
        for part, numbers in class_counts(dataset).items():
            panel.bar(positions, numbers, bottom=floor, label=f"{part} {sum(numbers):,}")
            floor = floor + np.array(numbers)
        if len(positions) <= 40:
            names = list(map(printable, dataset.task.classes))
            panel.set_xticks(positions, names, rotation=40, ha="right", fontsize=7)
    else:
        for part in ("train", "validation", "test"):
            panel.hist(dataset.split(part).labels, 40, label=part)
        panel.set_xlabel(dataset.task.unit)
    panel.set_ylabel("examples", fontsize=8)
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=7, ncols=3)
    save_figure(figure, out)


def plot_each_transform(config: Any, dataset: Any, out: Path, columns: int) -> None:
    """One row a transform: an example as it is, and in so many steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from cnn_jax.data.augment import TRANSFORMS

    names = list(config.augment) or list(TRANSFORMS)
    figure = plt.figure(
        figsize=(1.1 * (columns + 1) + 1.7, 1.15 * len(names)), layout="constrained"
    )
    panels = figure.subplots(len(names), columns + 1, squeeze=False)
    for name, row in zip(track(names, "transforms"), panels, strict=True):
        alone = config.copy_and_resolve_references()
        alone.augment = (name,)
        plain, after, _ = augmented_sheet(alone, dataset, 2, columns)  # two, for those that mix
        for panel, image in zip(row, [plain[0], *(images[0] for images, _ in after)], strict=True):
            show_image(panel, image)
        row[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    save_figure(figure, out)


def show_image(panel: Any, image: Any) -> None:
    """One image, uint8 [H, W, C], pixel by pixel."""
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if image.shape[-1] == 1 else {}
    panel.imshow(image.squeeze(), interpolation="nearest", **grey)
    panel.set(xticks=[], yticks=[])


def save_figure(figure: Any, out: Path) -> None:
    import matplotlib.pyplot as plt

    try:
        with warnings.catch_warnings():  # class names in scripts that the font lacks: boxes
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(out, dpi=110)
    except (OSError, ValueError) as error:
        raise UserError(f"--out={str(out)!r} cannot be written: {error}") from error
    plt.close(figure)


def caption(task: Any, targets: Any, row: int) -> str:
    """The label, or both labels and the first one's share where two images were mixed."""
    if hasattr(targets, "lam"):
        lam = float(targets.lam[row])
        first, second = (
            printable(task.classes[int(t[row])]) for t in (targets.label, targets.partner)
        )
        return f"{lam:.0%} {first} + {second}" if first != second else first
    value = targets[row]
    if task.kind == "classification":
        return printable(task.classes[int(value)])
    return f"{float(value):.0f}"


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    OUT = flags.DEFINE_string("out", "data.png", "Where the picture goes (.png, .svg, .pdf).")
    ROWS = flags.DEFINE_integer("rows", 8, "Examples to show.", lower_bound=1)
    COLUMNS = flags.DEFINE_integer("columns", 7, "Steps to show each in.", lower_bound=1)
    EACH = flags.DEFINE_bool("each", False, "One row a transform, alone.")
    cli.run(main)
