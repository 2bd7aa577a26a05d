"""Five ways to use trained weights for a dataset, each tried on it.

The rule of thumb and the order of the trials are described in `tools.advise`.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from cnn_jax.analysis.trained_net import SPLITS, TrainedNet, as_vectors, load_trained_net
from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.errors import UserError
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.training import metrics, optimizers
from cnn_jax.training.experiment import make_experiment
from cnn_jax.transfer.freezing import stage_name
from cnn_jax.transfer.probes import linear_probe

HIGH, LOW, FEW, ALL, SCRATCH = WAYS = (
    "linear classifier on the highest features",
    "linear classifier on lower features",
    "fine-tune the last stage and the head",
    "fine-tune everything",
    "train from scratch",
)
# (many images, similar images) -> what the rule of thumb names
RULE = {
    (False, True): (HIGH,),
    (False, False): (LOW,),
    (True, True): (FEW, ALL),
    (True, False): (ALL, SCRATCH),
}
TIME_OVER = ": the time was over"
WIDE = 0.05  # half a 95 % interval, beyond which the validation images are too few to decide
SCRATCH_RATE_FACTOR = 10.0  # how much larger the rate is from scratch


@dataclasses.dataclass
class Trial:
    """One way, what it reached and what it cost."""

    way: str
    validation: float
    test: float
    macro: float  # mean recall of the classes, on test
    trained: int  # parameters
    seconds: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class ImageCounts:
    """Of images a class."""

    train: int = 0  # for training; 0: as many as there are
    most: int = 0  # of any split; 0: as many as there are
    many: int = 50  # from which on training images are many

    def limit(self, dataset: Dataset, seed: int) -> Dataset:
        """The dataset with no more than these."""
        train = min(filter(None, (self.train, self.most)), default=0)
        return dataclasses.replace(
            dataset,
            train=take_per_class(dataset.train, train, seed),
            validation=take_per_class(dataset.validation, self.most, seed),
            test=take_per_class(dataset.test, self.most, seed),
        )


def advise(
    config: ConfigDict | None,
    paths: tuple[str | None, str | None],
    seconds: float,
    counts: ImageCounts,
    cache: Path,
) -> dict[str, Any]:
    """Tries all ways in `seconds`, about, and returns the table and the advice.

    `paths` are those of a workdir and of a folder of imported weights, one of them None.
    """
    with ProgressBar("loading", seconds) as bar:
        net = load_trained_net(config, *paths)
        run_config, dataset = net.config, net.experiment.dataset
        key = f"data.name={dataset.name!r}"
        if dataset.task.kind != "classification":
            raise UserError(f"{key}: the ways are compared by accuracy, and there are no classes")
        if not len(dataset.validation):
            raise UserError(f"{key}: data.validation=0 leaves nothing to decide by")
        if counts.train or counts.most:
            dataset = counts.limit(dataset, run_config.data.split_seed)
            run_config = run_config.copy_and_resolve_references()
            unit = net.experiment.devices.round_up(1, run_config.accumulate)
            whole_batches = max(1, len(dataset.train) // unit) * unit
            run_config.batch_size = min(run_config.batch_size, whole_batches)
            net = load_trained_net(run_config, *paths, dataset)
        trials, similar = try_linear(net, cache, bar)
        for trial in trials:
            print_trial(trial)
        left = seconds - bar.elapsed
        for i, (way, changed) in enumerate(trainings := training_configs(run_config, net)):
            share = (seconds - bar.elapsed) / (len(trainings) - i)
            trials.append(try_training(way, changed, dataset, max(share, left / 10), bar))
            print_trial(trials[-1])
    per_class = len(dataset.train) / len(dataset.task.classes)
    return conclude(net, trials, per_class, per_class >= counts.many, similar)


def print_trial(trial: Trial) -> None:
    print(f"{trial.way}: validation {trial.validation:.2%}, {trial.seconds:.0f} s", flush=True)


def take_per_class(split: Split, count: int, seed: int) -> Split:
    """The split with at most so many examples of each class; 0: all."""
    if not count or not len(split):
        return split
    labels, rng = split.labels, np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == c))[:count] for c in np.unique(labels)]
    return split.take(np.sort(np.concatenate(rows)))


def try_linear(net: TrainedNet, cache: Path, bar: ProgressBar) -> tuple[list[Trial], bool]:
    """(the best of the highest and of the lower stages, whether the highest are good enough)."""
    begun = time.monotonic()
    points = net.resolve(["all"])
    folders = [net.cached_features(cache, split, points) for split in SPLITS]
    reading = (time.monotonic() - begun) / 2
    classes = len(net.experiment.dataset.task.classes)
    highest, lower = [], []
    for point in points:
        bar.reach(bar.elapsed, f"linear classifier on {point}")
        begun = time.monotonic()
        train, validation, test = ((as_vectors(f.read(point)), f.labels) for f in folders)
        result = linear_probe(train, validation, test)
        is_high = is_high_level(point, net)
        trial = Trial(
            way=HIGH if is_high else LOW,
            validation=result.validation,
            test=result.accuracy,
            macro=result.macro,
            trained=(train[0].shape[1] + 1) * classes,
            seconds=time.monotonic() - begun + reading,
            note=f"{point}, C={result.chosen:g}",
        )
        (highest if is_high else lower).append(trial)
    best_high = max(highest, key=lambda trial: trial.validation)
    if not lower:
        return [best_high], True
    best_low = max(lower, key=lambda trial: trial.validation)
    # All of them had to be tried to find it; the images were read once.
    best_low.seconds += sum(trial.seconds - reading for trial in lower if trial is not best_low)
    error = standard_error(best_high.validation, len(net.experiment.dataset.validation))
    return [best_high, best_low], best_low.validation <= best_high.validation + error


def is_high_level(point: str, net: TrainedNet) -> bool:
    """Whether a point lies at the end of the last stage before the head, or after it.

    What follows the last stage's maps, a pool, gives the same means.
    """
    names, stages = net.points.top_level, net.trunk
    if len(stages) < 2:
        return True
    last = [i for i, name in enumerate(names) if stage_name(name) == stages[-2]]
    return names.index(point) >= last[-1]


def training_configs(config: ConfigDict, net: TrainedNet) -> list[tuple[str, ConfigDict]]:
    """The ways that train, with their configs.

    A config's rate is that from scratch, unless it names weights itself.
    """
    stages, rate = net.trunk, optimizers.completed(config.optimizer).learning_rate
    factor = SCRATCH_RATE_FACTOR
    high, low = (factor * rate, rate) if config.init["from"] else (rate, rate / factor)
    configs = []
    for way, frozen in ((FEW, tuple(stages[:-2])), (ALL, ()), (SCRATCH, ())):
        if way == FEW and not frozen:
            continue
        changed = config.copy_and_resolve_references()
        changed.init["from"] = "" if way == SCRATCH else net.initial_weights.path
        changed.freeze, changed.unfreeze = frozen, ()
        changed.optimizer.learning_rate = high if way == SCRATCH else low
        if way == SCRATCH:
            changed.optimizer.groups, changed.optimizer.layer_decay = (), 1.0
        configs.append((way, changed))
    return configs


def try_training(
    way: str, config: ConfigDict, dataset: Dataset, seconds: float, bar: ProgressBar
) -> Trial:
    """Trains until the time or the epochs are over; the best evaluation counts."""
    begun = time.monotonic()
    experiment = make_experiment(config, dataset)
    evaluator = experiment.evaluator("validation")
    best, step = None, 0
    with experiment.step_loop() as steps:
        size = sum(leaf.size for leaf in jax.tree.leaves(steps.carry.state.params))
        for step in steps:
            bar.reach(bar.elapsed, f"{way}, step {step:,}")
            over = time.monotonic() - begun > seconds
            if over or experiment.step_schedule.evaluates(step):
                state = steps.carry.state
                figures = metrics.summarise(dataset.task, evaluator(state))
                rank = metrics.selection_metric(dataset.task, figures)
                if best is None or rank > best[0]:
                    best = rank, jax.tree.map(jnp.copy, state)
            if over:
                break
    cost = time.monotonic() - begun
    assert best is not None  # the last step is always evaluated
    report = metrics.report(dataset.task, experiment.evaluator("test")(best[1]))
    note = (
        f"{experiment.clock.epochs_seen(step):.1f} epochs, rate {config.optimizer.learning_rate:g}"
    )
    note += "" if step == experiment.clock.total_steps else f" of {config.epochs:g}{TIME_OVER}"
    macro = report["macro_average"]["recall"]
    return Trial(way, best[0][0], report["accuracy"], macro, size, cost, note)


def standard_error(share: float, count: int) -> float:
    """Of a share of `count` images: half of Wilson's 68 % interval, which is not 0 at 100 %."""
    return metrics.half_width(share, count, z=1.0)


def conclude(
    net: TrainedNet, trials: list[Trial], per_class: float, many: bool, similar: bool
) -> dict[str, Any]:
    """The advice: of what is as good as the best on validation, the cheapest."""
    count = len(net.experiment.dataset.validation)
    best = max(trials, key=lambda trial: trial.validation)
    error = standard_error(best.validation, count)
    as_good = [trial for trial in trials if trial.validation >= best.validation - error]
    chosen = min(as_good, key=lambda trial: trial.seconds)
    return {
        "model": net.experiment.config.model.name,
        "weights": net.initial_weights.weights.source,
        "dataset": net.experiment.dataset.name,
        "protocol": SINGLE,
        "per_class": round(per_class, 1),
        "many": many,
        "similar": similar,
        "validation_examples": count,
        "test_examples": len(net.experiment.dataset.test),
        "standard_error": round(error, 4),
        "few_decide": metrics.half_width(best.validation, count) > WIDE,
        "tried": [dataclasses.asdict(trial) for trial in trials],
        "rule": list(RULE[many, similar]),
        "best": best.way,
        "advice": chosen.way,
    }
