"""What does not go together: dataset and net, weights and net, views and images."""

from __future__ import annotations

from pathlib import Path

import flax.linen as nn
from ml_collections import ConfigDict

from cnn_jax.data.dataset import Dataset
from cnn_jax.data.images.decode import BadImageError
from cnn_jax.data.images.eval_protocols import EvalProtocol
from cnn_jax.data.images.random_crops import TrainCrop
from cnn_jax.data.sources import IMAGENET
from cnn_jax.data.sources.folder_layout import find_layout, is_seen
from cnn_jax.errors import UserError
from cnn_jax.runtime import workdir
from cnn_jax.transfer.initial_weights import InitialWeights
from cnn_jax.transfer.weight_options import option_differences

FIRST = 8  # images that are looked at for colours


def check_dataset(config: ConfigDict, dataset: Dataset) -> None:
    """Raises `UserError` where batch or outputs do not fit the dataset."""
    if config.batch_size > len(dataset.train):
        raise UserError(
            f"batch_size={config.batch_size} is larger than the training split of "
            f"{config.data.name} ({len(dataset.train)} examples)"
        )
    if config.data.get("sampler") == "balanced" and dataset.task.kind != "classification":
        raise UserError(
            f"data.sampler='balanced': {config.data.name} has no classes; choose 'shuffled'"
        )
    have, need = config.model.num_classes, dataset.task.outputs
    if have and (have < need or (dataset.task.kind == "regression" and have != need)):
        raise UserError(
            f"model.num_classes={have} does not fit {config.data.name}, which needs {need}"
        )
    if have > need and config.data.name.partition(":")[0] == IMAGENET:
        raise UserError(
            f"model.num_classes={have}, and there are {need} classes in data.dir="
            f"{config.data.dir!r}: --config.model.num_classes=0 trains as many as there are"
        )


def check_apart(config: ConfigDict, folder: Path) -> None:
    """Raises `UserError` for a workdir among the images: its pictures would be a class of them."""
    name = config.data.name
    root = Path(workdir.real_path(name).removeprefix(workdir.FOLDER))
    if not name.startswith(workdir.FOLDER) or not root.is_dir():
        return
    if not (place := folder.resolve()).is_relative_to(root):
        return
    parts = place.relative_to(root).parts
    splits = find_layout(root, f"data.name={name!r}").splits.values()
    is_left_out = splits and parts and parts[0] not in splits
    if all(map(is_seen, parts)) and not is_left_out:
        raise UserError(
            f"workdir={str(folder)!r} lies among the images of data.name={name!r}, and its "
            "pictures would be some of them; choose another --workdir"
        )


def dataset_warnings(config: ConfigDict, dataset: Dataset) -> list[str]:
    return [*unused_outputs(config, dataset), *lost_colour(config, dataset)]


def unused_outputs(config: ConfigDict, dataset: Dataset) -> list[str]:
    """A warning of outputs that no class of the dataset belongs to."""
    have, need = config.model.num_classes, dataset.task.outputs
    if have <= need:
        return []
    return [
        f"model.num_classes={have}: {config.data.name} has {need} classes, the other outputs only "
        "learn to say no; 0 is as many as there are"
    ]


def lost_colour(config: ConfigDict, dataset: Dataset) -> list[str]:
    """A warning of coloured images that the net sees in grey, told by the first of training."""
    if config.data.channels != 1:
        return []
    for row in range(min(FIRST, len(dataset.train))):
        try:
            image = dataset.train.original(row, min_side=16)
        except BadImageError:  # is said, or skipped, where it is read
            continue
        if (image != image[..., :1]).any():
            return [
                "data.channels=1: the images are coloured, and the net sees them in grey; "
                "3 keeps their colours"
            ]
    return []


def transfer_warnings(
    config: ConfigDict, model: nn.Module, initial_weights: InitialWeights | None
) -> list[str]:
    """Of stages frozen as they were drawn, and of weights that expect another net or image."""
    warnings = []
    if initial_weights:
        weights = initial_weights.weights
        if differ := option_differences(weights.model, weights.options, model):
            warnings.append(f"the weights are of {weights.model} with {', '.join(differ)}")
    whitened = f"{config.init.get('whiten')}/kernel"  # which is made of the images
    if {*config.freeze} - {whitened} and not config.init["from"]:
        warnings.append("freeze: without init.from the frozen stages stay as they were drawn")
    expected = initial_weights and initial_weights.weights.preprocessing
    fits = {0.485: "imagenet", 0.5: "minus_one_to_one"}
    wanted = expected and fits.get(expected["mean"][0])
    if expected and config.data.normalisation not in (wanted, "per_channel"):  # moments alike
        warnings.append(
            f"the weights expect images of mean {expected['mean']} and deviation "
            f"{expected['std']}, not data.normalisation={config.data.normalisation!r}"
            + (f": {wanted!r} gives them" if wanted else "")
        )
    return warnings


def small_view_warnings(config: ConfigDict, protocol: EvalProtocol | None) -> list[str]:
    """Of crops that see a sixteenth of the image at most: sizes that are another input's."""
    data, lines = config.data, []
    size, sides = data.image_size, {}
    if data.fit == "crop":
        sides[f"data.resize={data.resize}"] = data.resize
    if data.train_crop:
        sides[f"data.train_crop={data.train_crop!r}"] = TrainCrop.parse(
            data.train_crop, size
        ).min_side
    if protocol and not protocol.slides:
        sides[f"protocol={config.protocol!r}"] = protocol.smallest_side
    for key, side in sides.items():
        if side >= 4 * size:
            lines.append(
                f"{key}: a view of data.image_size={size} is {size**2 / side**2:.1%} of the square "
                f"of {side} pixels"
            )
    return lines
