"""Recipes beside their papers: what a config has, computed, and what the paper has, from a table.

`recipes.csv` has a row for each key of a config that a paper, or its authors' code, gives a value:
`recipe` is the word after --config, `value` as a config would have it, or in words where no key can
say it. A row that is `silent` has the value of somebody else, whom its source names.
"""

from __future__ import annotations

import ast
import csv
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ml_collections import ConfigDict

from cnn_jax import models
from cnn_jax.data.augment import TRANSFORMS
from cnn_jax.data.images.eval_protocols import PROTOCOLS
from cnn_jax.data.images.random_crops import CROPS
from cnn_jax.data.images.resize import ResizeSpec
from cnn_jax.data.transform_spec import parse_spec
from cnn_jax.errors import UserError, unknown
from cnn_jax.runtime.config_files import load_config
from cnn_jax.training.optimizers import completed

TABLE = Path(__file__).with_name("recipes.csv")
POINTS: dict[str, tuple[str, ...]] = {
    "preprocessing": ("data.image_size", "data.fit", "data.normalisation"),
    "augmentation": ("data.train_crop", "augment", "augment_border"),
    "loss": ("loss.name", "loss.label_smoothing", "loss.auxiliary_weights"),
    "optimiser": (
        *("optimizer.name", "optimizer.momentum", "optimizer.rate_inside", "optimizer.decay"),
        *("optimizer.b1", "optimizer.b2", "optimizer.eps", "clip_norm"),
    ),
    "schedule": (
        *("optimizer.learning_rate", "schedule.name", "schedule.gamma", "schedule.every_epochs"),
        *("schedule.at_epochs", "schedule.final_fraction"),
        *("schedule.warmup_epochs", "schedule.warmup", "schedule.warmup_from"),
    ),
    "weight decay": (
        *("optimizer.weight_decay", "optimizer.weight_decay_kind"),
        *("optimizer.decay_vectors", "optimizer.decay_except"),
    ),
    "batch": ("batch_size",),
    "epochs": ("epochs",),
    "averaging": ("average_decay",),
    "protocol": ("protocol", "data.resize"),
}
WITH_MOMENTUM = ("momentum", "nesterov", "rmsprop", "rmsprop_tf")
# Keys that mean something only beside some values of another.
USED_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "optimizer.momentum": ("optimizer.name", WITH_MOMENTUM),
    "optimizer.rate_inside": ("optimizer.name", WITH_MOMENTUM),
    "optimizer.decay": ("optimizer.name", ("rmsprop", "rmsprop_tf", "adadelta")),
    "optimizer.eps": (
        "optimizer.name",
        ("rmsprop", "rmsprop_tf", "adagrad", "adadelta", "adam", "adamw"),
    ),
    "optimizer.b1": ("optimizer.name", ("adam", "adamw")),
    "optimizer.b2": ("optimizer.name", ("adam", "adamw")),
    "schedule.gamma": ("schedule.name", ("exponential", "step", "plateau")),
    "schedule.every_epochs": ("schedule.name", ("exponential",)),
    "schedule.at_epochs": ("schedule.name", ("step",)),
    "schedule.final_fraction": ("schedule.name", ("cosine",)),
    "data.train_crop": ("data.fit", ("crop",)),
    "data.resize": ("data.fit", ("crop",)),
}
# What a paper that does not mention it does without.
OFF = (
    *("loss.name", "loss.label_smoothing", "loss.auxiliary_weights", "clip_norm"),
    *("schedule.warmup_epochs", "average_decay", "optimizer.decay_except", "data.fit"),
    "augment_border",
)
UNMENTIONED = {"loss.name": "softmax_cross_entropy", "data.fit": "crop"}

Status = Literal["same", "DIFFERS", "silent"]


class Sourced(NamedTuple):
    """A key's value in the paper, or where that is `silent`, of whom the source names."""

    value: Any
    silent: bool
    source: str


class RecipeRow(NamedTuple):
    """One key of a recipe: the paper's value beside the config's."""

    point: str
    key: str
    paper: str
    config: str
    status: Status
    source: str


@functools.cache
def published_recipes() -> dict[str, dict[str, Sourced]]:
    """Recipe ("alexnet:imagenet2012") -> key -> its published value."""
    recipes: dict[str, dict[str, Sourced]] = {}
    with TABLE.open(newline="") as file:
        for row in csv.DictReader(file):
            value = Sourced(literal(row["value"]), row["silent"] == "silent", row["source"])
            recipes.setdefault(row["recipe"], {})[row["key"]] = value
    return recipes


def literal(text: str) -> Any:
    """`"(0.3, 0.3)"` -> its tuple; what is no Python value is a text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def recipe_of(net: str) -> tuple[str, ConfigDict]:
    """The recipe of a net, or of another net of its paper, and the config.

    Raises `UserError` for an unknown net, and where no recipe is of its paper.
    """
    if net not in models.REGISTRY:
        raise unknown("model.name", net, sorted(models.REGISTRY))
    configs = {recipe: load_config(recipe) for recipe in published_recipes()}
    by_paper: dict[str, str] = {}
    for recipe, config in configs.items():
        if config.model.name == net:
            return recipe, config
        by_paper.setdefault(paper_of(config.model.name), recipe)
    if (found := by_paper.get(paper_of(net))) is None:
        trained = ", ".join(config.model.name for config in configs.values())
        raise UserError(f"{net}: no config has its paper's recipe; those that have one: {trained}")
    return found, configs[found]


def paper_of(net: str) -> str:
    """The module of a net: one paper, one file."""
    return models.REGISTRY[net].module.__module__


def recipe_rows(config: ConfigDict, published: Mapping[str, Sourced]) -> list[RecipeRow]:
    """Every key of every point that means something in this config, or has a published value."""
    values = values_of(config)
    rows = []
    for point, keys in POINTS.items():
        for key in keys:
            paper = published.get(key)
            if paper is None and not is_used(key, values):
                continue
            rows.append(recipe_row(point, key, values[key], paper))
    return rows


def recipe_row(point: str, key: str, value: Any, paper: Sourced | None) -> RecipeRow:
    """A key's row; one without a published value is held to what it is when it is off."""
    shown = text_of(value)
    if paper is None and key not in OFF:
        return RecipeRow(point, key, "silent", shown, "silent", "ours")
    paper = paper or Sourced(UNMENTIONED.get(key), False, "not mentioned")
    same = agree(value, paper.value)
    if paper.silent and same:
        return RecipeRow(point, key, "silent", shown, "silent", paper.source)
    published = f"silent ({text_of(paper.value)})" if paper.silent else text_of(paper.value)
    status = "same" if same else "DIFFERS"
    return RecipeRow(point, key, published, shown, status, paper.source)


def grouped(rows: Sequence[RecipeRow]) -> list[list[str]]:
    """The rows' cells, a point named in its first one only."""
    before = ["", *(row.point for row in rows)]
    return [
        ["" if row.point == last else row.point, *row[1:]]
        for row, last in zip(rows, before, strict=False)
    ]


def count_text(rows: Sequence[RecipeRow]) -> str:
    """How many keys differ, and on how many the paper is silent."""
    differ, silent = (sum(row.status == s for row in rows) for s in ("DIFFERS", "silent"))
    return (
        f"{len(rows)} keys: {differ} differ from the paper; on {silent} it is silent, and the "
        "source is whose value it is"
    )


def values_of(config: ConfigDict) -> dict[str, Any]:
    """Key -> its value in the config, with what is left open as the run has it."""
    tree = {"optimizer": completed(config.optimizer)}
    values = {}
    for key in (key for keys in POINTS.values() for key in keys):
        node: Any = config
        for part in key.split("."):
            node = tree.get(part, node[part]) if node is config else node[part]
        values[key] = node
    values["data.resize"] = ResizeSpec.of(config.data).resize
    return values


def is_used(key: str, values: Mapping[str, Any]) -> bool:
    """Whether the config reads the key at all."""
    if key in ("schedule.warmup", "schedule.warmup_from"):
        return bool(values["schedule.warmup_epochs"])
    if key == "optimizer.weight_decay_kind":
        return bool(values["optimizer.weight_decay"]) and values["optimizer.name"] != "adamw"
    if key in ("optimizer.decay_vectors", "optimizer.decay_except"):
        return bool(values["optimizer.weight_decay"])
    if key == "optimizer.rate_inside" and not values["optimizer.momentum"]:
        return False
    if key == "data.resize" and values["protocol"] != "single_crop":
        return False
    other, choices = USED_WITH.get(key, ("", ()))
    return not other or values[other] in choices


def agree(a: Any, b: Any) -> bool:
    """Numbers to rounding, tuples entry by entry, transforms by their arguments; 0, (), None alike.

    False where one is in words.
    """
    if not a and not b:
        return True
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(agree, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-6)
    return canonical(a) == canonical(b)


def canonical(value: Any) -> Any:
    """A crop, protocol or transform with all its arguments; others as they are."""
    for functions, leading in ((CROPS, 3), (PROTOCOLS, 2), (TRANSFORMS, 2)):
        if str(value).partition("(")[0] in functions:
            try:
                return parse_spec("value", value, functions, leading)
            except UserError:  # in words, or of another table
                continue
    return value


def text_of(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool):
        return str(value)
    if not value:
        return "none" if not isinstance(value, int | float) else "0"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list):
        return ", ".join(map(text_of, value))
    return str(value)
