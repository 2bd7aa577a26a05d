"""What a config trains on, as a picture: images before and after augmentation, and class counts.

    python -m cnn_jax.tools.show_data --config=configs/lenet5.py:mnist --out=mnist.png
    python -m cnn_jax.tools.show_data --config=... --config.augment='("rotate(15)",)'

    python -m cnn_jax.tools.show_data --config=configs/resnet18.py:folder:PATH --each

Each row is an example of the first training batch: as it is, then in as many steps as there are
columns; without augmentation every image is another example. The counts of every class in every
split are printed and drawn. With --each, a row shows one transform alone: each of `augment`, or
each that there is, with its arguments; saturation and hue are left out where images are grey.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.progress import track
from cnn_jax.runtime.report_pictures import plain_pyplot, save_picture, show_image

# Transforms that do nothing where there are no colours.
OF_COLOURS = ("saturation", "hue")


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
    from cnn_jax.data.normalization import InputStatistics
    from cnn_jax.runtime.rng_streams import rng_stream

    split, crop = dataset.train, None
    if config.data.train_crop:
        crop = TrainCrop.parse(config.data.train_crop, config.data.image_size)
    if augment.uses_colours(config.augment) or config.get("augment_border") == "mean":
        made = InputStatistics.of(config, split.images).make_augment
        apply = jax.jit(made(config, split.image_shape, dataset.task))
    else:
        apply = jax.jit(augment.compose(config.augment, split.image_shape, dataset.task))
    sampler = TrainSampler(len(split), min(rows, len(split)), columns, config.seed)
    rows_shown, mask = sampler.rows_at(0)
    reader = BatchReader(split, sampler, crop=crop, crop_seed=config.seed)
    plain = np.stack([split.images[int(row)] for row in rows_shown])
    after = []
    for step in track(range(columns), "augmenting"):
        batch = reader.read(rows_shown, mask, step)
        key = jax.random.fold_in(rng_stream(config.seed, "augment"), step)
        images = jnp.asarray(batch["image"], jnp.float32)
        ids, labels = jnp.asarray(batch["id"]), jnp.asarray(batch["label"])
        # A column an epoch for what alternates: within one it would not change.
        passes = augment.Passes(rng_stream(config.seed, "mirror"), jnp.full_like(ids, step))
        images, targets = apply(key, ids, images, labels, passes)
        after.append((np.asarray(jnp.clip(images, 0, 255)).astype(np.uint8), targets))
    return plain, after, split.labels[rows_shown]


def plot_sheet(config: Any, dataset: Any, out: Path, rows: int, columns: int) -> None:
    """The sheet, and under it the class counts."""
    plt = plain_pyplot()
    if config.augment or config.data.train_crop:
        cells, heads = augmented_cells(config, dataset, rows, columns)
    else:
        cells, heads = plain_cells(config, dataset, rows, columns), []
    rows = len(cells)
    figure = plt.figure(figsize=(1.25 * (columns + 1), 1.35 * rows + 2.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.35 * rows, 2.6])
    upper, lower = parts
    panels = upper.subplots(rows, columns + 1, squeeze=False)
    for panel in panels.flat:
        panel.set(xticks=[], yticks=[], frame_on=False)
    for row, cells_of_row in zip(panels, cells, strict=True):
        for panel, (image, text) in zip(row, cells_of_row, strict=False):
            show_image(panel, image)
            panel.set_xlabel(text, fontsize=7, labelpad=1)
    for panel, head in zip(panels[0], heads, strict=False):
        panel.set_title(head, fontsize=8)
    transforms = ", ".join(map(with_arguments, config.augment)) or "no augmentation"
    crop = f"{config.data.train_crop}; " if config.data.train_crop else ""
    title = textwrap.fill(printable(f"{dataset.name}: {crop}{transforms}"), 20 * (columns + 1))
    upper.suptitle(title, fontsize=9)
    draw_counts(lower.subplots(), dataset)
    save_picture(figure, out, dpi=110)


Cells = list[list[tuple[Any, str]]]  # of each row of the sheet: image and caption


def augmented_cells(config: Any, dataset: Any, rows: int, columns: int) -> tuple[Cells, list[str]]:
    """A row an example, as it is and after each step, and the heads of the columns."""
    plain, after, labels = augmented_sheet(config, dataset, rows, columns)
    cells = [
        [
            (images[row], caption(dataset.task, targets, row))
            for images, targets in [(plain, labels), *after]
        ]
        for row in range(len(plain))
    ]
    return cells, ["as it is", *(f"step {step}" for step in range(columns))]


def plain_cells(config: Any, dataset: Any, rows: int, columns: int) -> Cells:
    """Examples in the order of training, every one another."""
    from cnn_jax.data.loading.sampler import TrainSampler

    split, width = dataset.train, columns + 1
    count = min(rows * width, len(split))
    shown, _ = TrainSampler(len(split), count, 1, config.seed).rows_at(0)
    cells = [
        (split.images[int(row)], caption(dataset.task, split.labels, int(row))) for row in shown
    ]
    return [cells[i : i + width] for i in range(0, count, width)]


def draw_counts(panel: Any, dataset: Any) -> None:
    """Bars of the class counts by split, or histograms of the numbers."""
    import numpy as np

    if dataset.task.kind == "classification":
        positions, floor = np.arange(len(dataset.task.classes)), 0
        for part, numbers in class_counts(dataset).items():
            panel.bar(positions, numbers, bottom=floor, label=f"{part} {sum(numbers):,}")
            floor = floor + np.array(numbers)
        if len(positions) <= 40:
            names = list(map(printable, dataset.task.classes))
            panel.set_xticks(positions, names, rotation=40, ha="right", fontsize=7)
    else:
        labels = {part: dataset.split(part).labels for part in ("train", "validation", "test")}
        names = [f"{part} {len(numbers):,}" for part, numbers in labels.items()]
        panel.hist(list(labels.values()), 40, label=names, stacked=True)
        panel.set_xlabel(dataset.task.unit)
    panel.set_ylabel("examples", fontsize=8)
    panel.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=7, ncols=3)


def plot_each_transform(config: Any, dataset: Any, out: Path, columns: int) -> None:
    """One row a transform, named with its arguments: an example as it is, and in so many steps."""
    plt = plain_pyplot()
    transforms = list(config.augment) or every_transform(dataset.train.image_shape)
    names = list(map(with_arguments, transforms))
    figure = plt.figure(
        figsize=(1.1 * (columns + 1) + 2.2, 1.15 * len(names) + 0.3), layout="constrained"
    )
    panels = figure.subplots(len(names), columns + 1, squeeze=False)
    for name, row in zip(track(names, "transforms"), panels, strict=True):
        alone = config.copy_and_resolve_references()
        alone.augment = (name,)
        plain, after, _ = augmented_sheet(alone, dataset, 2, columns)  # two, for those that mix
        for panel, image in zip(row, [plain[0], *(images[0] for images, _ in after)], strict=True):
            show_image(panel, image)
        row[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    for panel, head in zip(
        panels[0], ["as it is", *(f"step {s}" for s in range(columns))], strict=True
    ):
        panel.set_title(head, fontsize=8)
    save_picture(figure, out, dpi=110)


def every_transform(image_shape: tuple[int, int, int]) -> list[str]:
    """All transforms that can change such an image [H, W, C], at a strength that fits its size."""
    from cnn_jax.data.augment import TRANSFORMS

    side, _, channels = image_shape
    sizes = {"scale_jitter": f"scale_jitter({round(side * 8 / 7)}, {round(side * 16 / 7)})"}
    return [sizes.get(name, name) for name in TRANSFORMS if channels == 3 or name not in OF_COLOURS]


def with_arguments(text: str) -> str:
    """ "rotate" -> "rotate(15)"."""
    from cnn_jax.data.augment import parse

    transform = parse(text)
    numbers = ", ".join(f"{number:g}" for number in transform.numbers)
    return f"{transform.name}({numbers})" if numbers else transform.name


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
    OUT = cli.define_picture("out", "data.png")
    ROWS = flags.DEFINE_integer("rows", 8, "Examples to show.", lower_bound=1)
    COLUMNS = flags.DEFINE_integer("columns", 7, "Steps to show each in.", lower_bound=1)
    EACH = flags.DEFINE_bool("each", False, "One row a transform, alone.")
    cli.run(main)
