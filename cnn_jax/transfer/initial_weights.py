"""Weights to begin with: of a workdir or of a folder of imported ones, fitted to a net."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from cnn_jax.data import imagenet
from cnn_jax.data.identity import composed
from cnn_jax.errors import UserError
from cnn_jax.models.variables import Tree, fill_tree, flatten
from cnn_jax.runtime import statistics_file, workdir
from cnn_jax.runtime.checkpoint_choice import BEST, check_choice, damaged, step_of
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.checksums import CHECKSUMS, damage, file_hash
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.runtime.stores.copies import local_copy
from cnn_jax.transfer import pretrained
from cnn_jax.transfer.freezing import AUXILIARY_PREFIX
from cnn_jax.transfer.weight_options import options_of_import
from cnn_jax.transfer.weights import DESCRIPTION, load_weights

NAMES_SHOWN = 4  # names on a line; all of them are in init.json
FlatTree = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TrainedWeights:
    """A trained net's variables by name ("params/conv1/kernel"), and where they are from."""

    flat: FlatTree
    model: str
    source: str  # in words
    sha256: str
    options: dict[str, Any]  # of the net, beside those that its name has
    preprocessing: dict[str, Any] | None = None  # what they expect of an image, where it is known
    dataset: str = ""  # that a run of ours was trained on
    classes: tuple[str, ...] = ()  # that the head tells apart, where they are known


def read_trained_weights(
    path: str, key: str = "init.from", checkpoint: str | int = BEST
) -> TrainedWeights:
    """The weights in a folder; `key` names in errors what asked for them.

    A workdir gives those of its best `checkpoint`, or of the one asked for, the averaged ones where
    there are any, with the statistics of BatchNorm that its report was made with. Published weights
    are named, "resnet50.tv_in1k", and fetched the first time.
    """
    folder = pretrained.locate(path, key)
    if (folder / DESCRIPTION).is_file():
        params, stats, description = load_weights(folder)
        flat = flatten({"params": params, "batch_stats": stats})
        origin = description.get("source", {})
        words = f"{description['model']} of {origin.get('names', 'elsewhere')}"
        digest, options = description["sha256"], options_of_import(description)
        return TrainedWeights(
            *(flat, description["model"], words, digest, options),
            preprocessing=description.get("preprocessing"),
            classes=tuple(map(composed, description.get("classes") or ())),
        )
    check_source(path, key)
    try:
        config = read_json_object(folder / "config.json", "model.name", "data.name")
        model, dataset = config["model.name"], config["data.name"]
    except (OSError, ValueError) as error:
        raise UserError(
            f"{key}={path!r}: {folder / 'config.json'} cannot be read ({error})"
        ) from error
    checkpoints = Checkpoints(folder)
    step = valid_step(checkpoints, f"{key}={path!r}", checkpoint)
    flat = evaluation_variables(checkpoints.read(step).tree[0])
    words = f"{model} trained on {dataset}, step {step}"
    digest = file_hash(checkpoints.path(step) / CHECKSUMS)
    if (statistics := statistics_file.read(folder, step)) is not None:
        flat |= {f"batch_stats/{name}": value for name, value in statistics.items()}
        words += ", population statistics"
        both = digest + file_hash(folder / statistics_file.FILE)
        digest = hashlib.sha256(both.encode()).hexdigest()
    options = workdir.net_options(config)
    classes = tuple((workdir.data_of(folder) or {"classes": ()})["classes"])
    return TrainedWeights(
        *(flat, model, words, digest, options),
        dataset=dataset,
        classes=classes,
    )


def check_source(path: str, key: str = "init.from") -> None:
    """Raises `UserError` where there are no weights in a folder, by the names of its files."""
    if pretrained.find(path, key) is not None:
        return  # fetched when it is read
    folder = Path(local_copy(key, path)).expanduser()
    is_run = (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()
    if not (is_run or (folder / DESCRIPTION).is_file()):
        what = "is neither a workdir nor a folder of imported weights"
        raise UserError(
            f"{key}={path!r} {what if folder.exists() else 'does not exist'}: name one, or "
            "published weights such as resnet18.tv_in1k, which cnn_jax weights lists"
        )


def valid_step(checkpoints: Checkpoints, label: str, checkpoint: str | int = BEST) -> int:
    """The step that is asked for, or of the newest whole save where the best is damaged."""
    check_choice(checkpoint, checkpoints)
    for step in reversed(checkpoints.steps()):
        if (damage(checkpoints.path(step)) or checkpoints.wrong_step(step)) is None:
            best = checkpoints.read_meta(step).get("progress", {}).get("best_step", step)
            asked = step_of(checkpoint, best, step)
            if asked in checkpoints.steps() and damage(checkpoints.path(asked)) is None:
                return asked
            if checkpoint != BEST:
                raise damaged(checkpoint, checkpoints)
            return step
    raise UserError(f"{label} holds no whole checkpoint")


def evaluation_variables(state: dict[str, Any]) -> FlatTree:
    """What evaluation uses of a saved state, with the mean of the replicas' statistics."""
    trees = state.get("average") or {name: state[name] for name in ("params", "batch_stats")}
    stats = flatten(trees.get("batch_stats") or {})
    # Statistics are vectors; with a leading axis there is one a replica.
    stats = {name: value.mean(0) if value.ndim > 1 else value for name, value in stats.items()}
    flat = {f"params/{name}": v for name, v in flatten(trees["params"]).items()}
    flat |= {f"batch_stats/{name}": value for name, value in stats.items()}
    return flat | flatten(state.get("frozen") or {})


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """Which variables of a net begin with which values; the others are drawn at random."""

    path: str
    weights: TrainedWeights
    values: FlatTree
    randomly_initialised: dict[str, str]  # name -> why
    unused: tuple[str, ...]
    note: str = ""  # of the classes of a head that is taken

    def fill(self, tree: Tree, prefix: str = "") -> Tree:
        """`fill_tree` with these values."""
        return fill_tree(self.values, tree, prefix)

    def variables(self) -> dict[str, Tree]:
        """The values as trees; raises `UserError` where some are missing."""
        if self.randomly_initialised:
            names = shortened(self.randomly_initialised)
            raise UserError(f"{self.path!r} lacks weights of the net: {names}; train first")
        return {"batch_stats": {}} | unflatten_dict(self.values, sep="/")

    def summary_lines(self) -> list[str]:
        """What was loaded and what was not, in short."""
        count, total = len(self.values), len(self.values) + len(self.randomly_initialised)
        out = [f"begins with {self.path} ({self.weights.source}): {count} of {total} tensors"]
        if self.randomly_initialised:
            out.append(f"  fresh: {shortened(self.randomly_initialised)}")
        if self.unused:
            out.append(f"  not used: {shortened(self.unused)}")
        reasons = dict.fromkeys(self.randomly_initialised.values())
        out += [f"  fresh because {reason}" for reason in reasons if " classes" in reason]
        if self.note:
            out.append(f"  {self.note}")
        return out

    def record(self) -> dict[str, Any]:
        """All of it, for init.json."""
        return {
            "from": self.path,
            "source": self.weights.source,
            "sha256": self.weights.sha256,
            "loaded": sorted(self.values),
            "fresh": self.randomly_initialised,
            "unused": list(self.unused),
        }


def shortened(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = [name.removeprefix("params/") for name in names]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def make_initial_weights(
    path: str,
    model: nn.Module,
    name: str,
    image_shape: tuple[int, ...],
    head: str = "auto",
    dataset: str = "",
    key: str = "init.from",
    classes: Sequence[str] = (),
    checkpoint: str | int = BEST,
) -> InitialWeights:
    """The initial weights of the net `name`, from those at `path`; of a run, from a `checkpoint`.

    A classifier is drawn at random where its shape is another; with `head` "drop" always, with
    "auto" also where it tells other classes apart than `classes`, by name, or, where these are not
    known, was trained on another dataset than `dataset`. The same classes in another order are
    brought in this one. Training-only heads may be missing on either side. Anything else that does
    not fit is another architecture: `UserError`, naming the first tensors.
    """
    weights = read_trained_weights(path, key, checkpoint)
    shapes = variable_shapes(model, image_shape)
    axes = class_axes(model, image_shape)
    flat, refusal, note = fit_head(weights, head, dataset, tuple(map(composed, classes)), axes)
    values, randomly_initialised, misfits = match_tensors(flat, shapes, {*axes}, refusal)
    used = {*values, *randomly_initialised}
    unused = tuple(tensor for tensor in weights.flat if tensor not in used)
    if misfits:
        more = f"; and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise UserError(
            f"{key}={path!r} ({weights.model}) does not fit {name}: {'; '.join(misfits[:3])}{more}"
            + advice_on_misfit(flat, model, name, image_shape, {*axes})
        )
    for tensor, value in values.items():
        if not np.isfinite(value).all():
            raise UserError(f"{key}={path!r}: {tensor} has values that are not finite")
    return InitialWeights(path, weights, values, randomly_initialised, unused, note)


def advice_on_misfit(
    flat: FlatTree, model: nn.Module, name: str, image_shape: tuple[int, ...], heads: set[str]
) -> str:
    """What to do: other channels, where these are all that is amiss, or other weights."""
    channels = 1 if image_shape[-1] == 3 else 3
    shapes = variable_shapes(model, (*image_shape[:-1], channels))
    if not match_tensors(flat, shapes, heads, "")[2]:
        return f"; they take images of {channels} channel{'s' * (channels > 1)}: " + (
            f"set data.channels={channels}"
        )
    published = any(row.model == name for row in pretrained.table().values())
    return f" (cnn_jax weights {name} lists those that do)" if published else ""


def fit_head(
    weights: TrainedWeights,
    head: str,
    dataset: str,
    classes: tuple[str, ...],
    axes: dict[str, int],
) -> tuple[FlatTree, str, str]:
    """(the tensors with the classes in the order of `classes`, why no head is taken, a note)."""
    flat, there = weights.flat, imagenet.in_words(weights.classes)
    classes = imagenet.in_words(classes)
    if head == "drop":
        return flat, "init.head='drop'", ""
    if not (there and classes):
        is_other = head == "auto" and dataset and weights.dataset and dataset != weights.dataset
        return flat, f"of {weights.dataset}" if is_other else "", ""
    if there == classes:
        return flat, "", ""
    sides = f"of other classes ({few(there)} there, {few(classes)} here)"
    if {*there} == {*classes} and len(there) == len(classes):
        order = [there.index(name) for name in classes]
        heads = {name: axis for name, axis in axes.items() if name in flat}
        if all(flat[name].shape[axis] == len(order) for name, axis in heads.items()):
            moved = {name: np.take(flat[name], order, axis) for name, axis in heads.items()}
            return flat | moved, "", "the head's classes come in another order: taken by name"
        sides = "its classes are in another order"
    if head == "auto":
        return flat, sides, ""
    kept = len(there) == len(classes)
    return flat, "", f"init.head='keep': the head is {sides}" if kept else ""


def few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def match_tensors(
    tensors: FlatTree, shapes: dict[str, tuple[int, ...]], heads: set[str], refusal: str
) -> tuple[FlatTree, dict[str, str], list[str]]:
    """(values of the net's variables, those to be drawn at random and why, what does not fit).

    With a `refusal`, no classifier is taken, and that is why.
    """
    values, randomly_initialised, misfits = {}, {}, []
    for tensor, shape in shapes.items():
        value = tensors.get(tensor)
        if value is None:
            difference = "not there"
        else:
            difference = f"{shape_text(value.shape)} there, {shape_text(shape)} here"
        if tensor in heads and refusal:
            randomly_initialised[tensor] = refusal
        elif value is not None and value.shape == shape:
            values[tensor] = np.asarray(value, np.float32)
        elif tensor in heads:
            randomly_initialised[tensor] = difference
        elif is_auxiliary(tensor):
            randomly_initialised[tensor] = "not there"
        else:
            misfits.append(f"{tensor} is {difference}")
    misfits += [
        f"{tensor} has no place here"
        for tensor in tensors
        if tensor not in shapes and not is_auxiliary(tensor)
    ]
    return values, randomly_initialised, misfits


def is_auxiliary(tensor: str) -> bool:
    """Whether "params/auxiliary_4a/..." is of a head that only training computes."""
    return tensor.split("/")[1].startswith(AUXILIARY_PREFIX)


def shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"


def variable_shapes(model: nn.Module, image_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of a net's variables by name, without computing anything."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    trees = {kind: variables[kind] for kind in ("params", "batch_stats") if kind in variables}
    return {name: leaf.shape for name, leaf in flatten(trees).items()}


def class_axes(model: nn.Module, image_shape: tuple[int, ...]) -> dict[str, int]:
    """The classifiers' tensors, each with the axis whose size follows the number of classes."""
    own = variable_shapes(model, image_shape)
    try:
        other = variable_shapes(model.clone(num_classes=model.num_classes + 1), image_shape)
    except UserError:  # a net that has one number of classes only
        return {}
    return {
        name: next(
            i for i, sides in enumerate(zip(shape, other[name], strict=True)) if len({*sides}) > 1
        )
        for name, shape in own.items()
        if shape != other[name]
    }
