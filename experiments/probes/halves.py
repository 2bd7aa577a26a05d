"""Weights of one half of the classes, used for the other (Yosinski et al. 2014, fig. 1)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np
from ml_collections import ConfigDict

from cnn_jax import data
from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.training import metrics
from cnn_jax.training.experiment import Experiment, make_experiment
from cnn_jax.training.train_state import TrainState

STAGES = ("c1", "c3", "c5", "f6")  # LeNet-5's, from the image to the head
FEW, MANY = 200, 5000  # images of the target
SHORT, LONG = 10, 80  # epochs over the few


def transfer(config: ConfigDict, folder: Path) -> dict[str, float]:
    """Test accuracy on classes 5 to 9 by what is taken from a net of classes 0 to 4.

    The source trains as `config` says. "frozen 2": its first two stages, kept as they are, under
    fresh ones; "all": every stage but the head, trained further; "scratch": nothing.
    """
    del folder
    whole = data.load(config.data)
    lower, upper = (of_classes(whole, classes) for classes in (range(5), range(5, 10)))
    _, source = train(config, lower)
    few, many = (some_images(upper, count, config.seed) for count in (FEW, MANY))
    short = {"epochs": float(SHORT)}
    figures = {"scratch": fit(config, few, short)}
    for kept in range(1, len(STAGES) + 1):
        figures[f"frozen {kept}"] = fit(config, few, short, source, kept, frozen=True)
    figures["all"] = fit(config, few, short, source, len(STAGES))
    long = {"epochs": float(LONG)}
    figures["scratch, long"] = fit(config, few, long)
    figures["all, long"] = fit(config, few, long, source, len(STAGES))
    figures["scratch, many"] = fit(config, many, {"epochs": 2.0})
    figures["all, many"] = fit(config, many, {"epochs": 2.0}, source, len(STAGES))
    return figures | {
        "first frozen less all frozen": figures["frozen 1"] - figures[f"frozen {len(STAGES)}"],
        "gain": figures["all"] - figures["scratch"],
        "gain, long": figures["all, long"] - figures["scratch, long"],
        "gain, many": figures["all, many"] - figures["scratch, many"],
        "gain, short less long": figures["all"]
        - figures["scratch"]
        - figures["all, long"]
        + figures["scratch, long"],
        "gain, few less many": figures["all"]
        - figures["scratch"]
        - figures["all, many"]
        + figures["scratch, many"],
    }


def of_classes(dataset: Dataset, classes: range) -> Dataset:
    """The examples of consecutive classes, numbered from 0."""

    def part(split: Split) -> Split:
        kept = split.take(np.flatnonzero(np.isin(split.labels, classes)))
        return dataclasses.replace(kept, labels=kept.labels - classes[0])

    names = tuple(dataset.task.classes[i] for i in classes)
    splits = {name: part(dataset.split(name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(
        dataset, task=dataclasses.replace(dataset.task, classes=names), **splits
    )


def some_images(dataset: Dataset, count: int, seed: int) -> Dataset:
    """As many training images as `count`, drawn by the seed."""
    rows = np.random.default_rng(seed).permutation(len(dataset.train))[:count]
    return dataclasses.replace(dataset, train=dataset.train.take(rows))


def train(
    config: ConfigDict,
    dataset: Dataset,
    changes: dict[str, Any] | None = None,
    source: TrainState | None = None,
    kept: int = 0,
    frozen: bool = False,
) -> tuple[Experiment, TrainState]:
    """The run and its state after the last epoch; the first `kept` stages begin as the source's."""
    own = config.copy_and_resolve_references().unlock()
    own.update(changes or {})
    own.model.num_classes = len(dataset.task.classes)
    own.freeze = STAGES[:kept] if frozen else ()
    experiment = make_experiment(own.lock(), dataset)
    carry = experiment.compiled.init()
    if source is not None:
        carry = carry._replace(state=carry.state.filled(filler(source, STAGES[:kept])))
    with experiment.step_loop(carry) as steps:
        for _ in steps:
            pass
        steps.wait()
        return experiment, steps.carry.state


def filler(source: TrainState, stages: tuple[str, ...]) -> Any:
    """For `TrainState.filled`: the stages and their norms have the values of `source`."""
    flat = flax.traverse_util.flatten_dict(source.variables, sep="/")
    wanted = {*stages, *(f"norm_{stage}" for stage in stages)}

    def fill(tree: Any, prefix: str) -> Any:
        def at(keys: Any, leaf: jax.Array) -> jax.Array:
            path = prefix + jax.tree_util.keystr(keys, simple=True, separator="/")
            if path.split("/")[1] not in wanted:
                return leaf
            # A copy of its own: the step is given the state's memory to write in.
            return jax.device_put(flat[path], leaf.sharding, may_alias=False)

        return jax.tree_util.tree_map_with_path(at, tree)

    return fill


def fit(config: ConfigDict, dataset: Dataset, *args: Any, **options: Any) -> float:
    """Test accuracy of the last weights, in points."""
    experiment, state = train(config, dataset, *args, **options)
    test = metrics.summarise(dataset.task, experiment.evaluator("test")(state))
    return 100 * test["accuracy"]
