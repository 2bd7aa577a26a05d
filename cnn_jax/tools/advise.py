"""How to use trained weights for a dataset: what the textbooks say, beside what was measured on it.

    python -m cnn_jax.tools.advise --config=CONFIG --weights=DIR --minutes=20
    python -m cnn_jax.tools.advise --config=CONFIG --workdir=RUN --per_class=10

Five ways are tried on the config's own images: a linear classifier on the highest features, one on
lower features, fine-tuning of the last stage and the head, of everything, and training from
scratch. The classifiers come first and are cheap; the three trainings share what is left of the
time, and each counts with its best evaluation on the validation split, which decides. The test
split is looked at once for each way.

The rule of thumb (Karpathy, CS231n notes, "Transfer learning"): few similar images, a linear
classifier on the highest features; few different ones, on lower features; many similar ones,
fine-tune; many different ones, fine-tune everything or train from scratch. It names no numbers.
Here images are many from --many a class on, and similar where no stage below the highest gives a
linear classifier that is better by more than the standard error on validation.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.errors import UserError
from cnn_jax.tools.extract_features import SPLITS, trained_net
from cnn_jax.tools.probe import CACHE, flat

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
OVER = ": the time was over"
FACTOR = 10.0  # how much larger the rate is from scratch


@dataclasses.dataclass
class Tried:
    """One way, what it reached and what it cost."""

    way: str
    validation: float
    test: float
    macro: float  # mean recall of the classes, on test
    trained: int  # parameters
    seconds: float
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of images a class."""

    train: int = 0  # for training; 0: as many as there are
    most: int = 0  # of any split; 0: as many as there are
    many: int = 50  # from which on training images are many

    def cut(self, dataset: Any, seed: int) -> Any:
        """The dataset with no more than these."""
        train = min(filter(None, (self.train, self.most)), default=0)
        return dataclasses.replace(
            dataset,
            train=few_of_each(dataset.train, train, seed),
            validation=few_of_each(dataset.validation, self.most, seed),
            test=few_of_each(dataset.test, self.most, seed),
        )


def main(argv: Sequence[str]) -> None:
    del argv
    paths = WORKDIR.value, WEIGHTS.value
    counts = Counts(PER_CLASS.value, MOST.value, MANY.value)
    found = advise(CONFIG.value, paths, MINUTES.value * 60, counts, Path(CACHE_DIR.value))
    print("\n" + as_text(found))
    if OUT.value:
        Path(OUT.value).write_text(json.dumps(found, indent=1) + "\n")


def advise(
    config: Any,
    paths: tuple[str | None, str | None],
    seconds: float,
    counts: Counts,
    cache: Path,
) -> dict[str, Any]:
    """Tries all ways in `seconds`, about, and returns the table and the advice."""
    begun = time.monotonic()
    net = trained_net(config, *paths)
    dataset = net.run.dataset
    key = f"data.name={dataset.name!r}"
    if dataset.task.kind != "classification":
        raise UserError(f"{key}: the ways are compared by accuracy, and there are no classes")
    if not len(dataset.validation):
        raise UserError(f"{key}: data.validation=0 leaves nothing to decide by")
    if counts.train or counts.most:
        dataset = counts.cut(dataset, config.data.split_seed)
        config = config.copy_and_resolve_references()
        unit = net.run.devices.round_up(1, config.accumulate)
        config.batch_size = min(config.batch_size, max(1, len(dataset.train) // unit) * unit)
        net = trained_net(config, *paths, dataset)
    tried, similar = linear_ways(net, cache)
    say(tried)
    left = seconds - (time.monotonic() - begun)
    for i, (way, changed) in enumerate(trainings := training_configs(config, net)):
        share = (seconds - (time.monotonic() - begun)) / (len(trainings) - i)
        tried.append(train(way, changed, dataset, max(share, left / 10)))
        say(tried[-1:])
    counted = len(dataset.train) / len(dataset.task.classes)
    return conclusion(net, tried, counted, counted >= counts.many, similar)


def say(tried: list[Tried]) -> None:
    for one in tried:
        print(f"{one.way}: validation {one.validation:.2%}, {one.seconds:.0f} s", flush=True)


def few_of_each(split: Any, count: int, seed: int) -> Any:
    """The split with at most so many examples of each class; 0: all."""
    import numpy as np

    if not count or not len(split):
        return split
    labels, rng = split.labels, np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(labels == c))[:count] for c in np.unique(labels)]
    return split.take(np.sort(np.concatenate(rows)))


def linear_ways(net: Any, cache: Path) -> tuple[list[Tried], bool]:
    """(the best of the highest and of the lower stages, whether the highest are good enough)."""
    from cnn_jax.transfer.probes import linear_probe

    begun = time.monotonic()
    points = net.resolve(["all"])
    parts = [net.cached(cache, split, points) for split in SPLITS]
    reading = (time.monotonic() - begun) / 2
    classes = len(net.run.dataset.task.classes)
    rows = []
    for point in points:
        begun = time.monotonic()
        read = [(flat(part.read(point)), part.labels) for part in parts]
        found = linear_probe(*read)
        cost, size = time.monotonic() - begun, (read[0][0].shape[1] + 1) * classes
        note = f"{point}, C={found.chosen:g}"
        rows.append([found.validation, found.accuracy, found.macro, size, cost + reading, note])
    # What follows the last stage's maps, a pool, gives the same means.
    top = [row for row, point in zip(rows, points, strict=True) if is_high(point, net)]
    below = [row for row in rows if row not in top]
    out = [Tried(HIGH, *max(top, key=lambda row: row[0]))]
    similar = True
    if below:
        out.append(Tried(LOW, *max(below, key=lambda row: row[0])))
        out[-1].seconds += sum(row[4] - reading for row in below if row[5] != out[-1].note)
        error = standard_error(out[0].validation, len(net.run.dataset.validation))
        similar = out[1].validation <= out[0].validation + error
    return out, similar


def is_high(point: str, net: Any) -> bool:
    """Whether a point lies at the end of the last stage before the head, or after it."""
    from cnn_jax.transfer.features import stage_name

    names = list(net.points.top_level)
    stages = [stage for stage in outline(net).stages if not stage.startswith("auxiliary")]
    if len(stages) < 2:
        return True
    last = [i for i, name in enumerate(names) if stage_name(name) == stages[-2]]
    return names.index(point) >= last[-1]


def outline(net: Any) -> Any:
    from cnn_jax.transfer.freezing import NetOutline

    return NetOutline.of(net.run.recipe.model, net.run.dataset.train.image_shape)


def training_configs(config: Any, net: Any) -> list[tuple[str, Any]]:
    """The ways that train, with their configs.

    A config's rate is that from scratch, unless it names weights itself.
    """
    stages = [stage for stage in outline(net).stages if not stage.startswith("auxiliary")]
    rate = config.optimizer.learning_rate
    high, low = (FACTOR * rate, rate) if config.init["from"] else (rate, rate / FACTOR)
    out = []
    for way, frozen in ((FEW, tuple(stages[:-2])), (ALL, ()), (SCRATCH, ())):
        if way == FEW and not frozen:
            continue
        changed = config.copy_and_resolve_references()
        changed.init["from"] = "" if way == SCRATCH else net.run.initial_weights.path
        changed.freeze, changed.unfreeze = frozen, ()
        changed.optimizer.learning_rate = high if way == SCRATCH else low
        if way == SCRATCH:
            changed.optimizer.groups, changed.optimizer.layer_decay = (), 1.0
        out.append((way, changed))
    return out


def train(way: str, config: Any, dataset: Any, seconds: float) -> Tried:
    """Trains until the time or the epochs are over; the best evaluation counts."""
    import jax
    import jax.numpy as jnp

    from cnn_jax.runtime.sharding import UnderWay
    from cnn_jax.training import metrics
    from cnn_jax.training.experiment import make_run

    begun = time.monotonic()
    run = make_run(config, dataset)
    feed, carry = run.feed(), run.steps.init()
    evaluator, under_way = run.evaluator("validation"), UnderWay(run.devices.ahead)
    size = sum(leaf.size for leaf in jax.tree.leaves(carry[0].params))
    best, total, step = None, run.clock.total_steps, 0
    while step < total:
        carry, done = run.steps.train(carry, feed.batch_at(step), step)
        step += 1
        under_way.add(done)
        over = time.monotonic() - begun > seconds
        if over or run.clock.is_time(step, config.eval_every_epochs):
            found = metrics.summarise(dataset.task, evaluator(carry[0]))
            rank = metrics.rank(dataset.task, found)
            if best is None or rank > best[0]:
                best = rank, jax.tree.map(jnp.copy, carry[0])
        if over:
            break
    cost = time.monotonic() - begun
    feed.close()
    report = metrics.report(dataset.task, run.evaluator("test")(best[1]))
    note = f"{run.clock.epochs_seen(step):.1f} epochs, rate {config.optimizer.learning_rate:g}"
    note += "" if step == total else f" of {config.epochs:g}{OVER}"
    macro = report["macro_average"]["recall"]
    return Tried(way, best[0][0], report["accuracy"], macro, size, cost, note)


def standard_error(share: float, count: int) -> float:
    return math.sqrt(share * (1 - share) / count)


def conclusion(
    net: Any, tried: list[Tried], per_class: float, many: bool, similar: bool
) -> dict[str, Any]:
    """The advice: of what is as good as the best on validation, the cheapest."""
    count = len(net.run.dataset.validation)
    best = max(tried, key=lambda one: one.validation)
    error = standard_error(best.validation, count)
    as_good = [one for one in tried if one.validation >= best.validation - error]
    chosen = min(as_good, key=lambda one: one.seconds)
    return {
        "model": net.run.config.model.name,
        "weights": net.run.initial_weights.weights.source,
        "dataset": net.run.dataset.name,
        "protocol": SINGLE,
        "per_class": round(per_class, 1),
        "many": many,
        "similar": similar,
        "validation_examples": count,
        "standard_error": round(error, 4),
        "tried": [dataclasses.asdict(one) for one in tried],
        "rule": list(RULE[many, similar]),
        "best": best.way,
        "advice": chosen.way,
    }


def as_text(found: dict[str, Any]) -> str:
    """The table, what the rule says and what was measured."""
    width = max(map(len, WAYS))
    lines = [
        f"{found['model']} ({found['weights']}) for {found['dataset']}; accuracy by "
        f"{found['protocol']}",
        "",
        f"{'':{width}} {'validation':>10} {'test':>7} {'macro':>7} {'trained':>11} {'seconds':>8}",
    ]
    for row in sorted(found["tried"], key=lambda row: -row["validation"]):
        mark = " *" if row["way"] in found["rule"] else ""
        lines.append(
            f"{row['way']:{width}} {row['validation']:>10.2%} {row['test']:>7.2%} "
            f"{row['macro']:>7.2%} {row['trained']:>11,} {row['seconds']:>8.0f}  "
            f"{row['note']}{mark}"
        )
    size = f"{'many' if found['many'] else 'few'} images ({found['per_class']:g} a class)"
    kind = "similar to" if found["similar"] else "different from"
    lines += [
        "",
        f"* the rule of thumb for {size}, {kind} those of the weights: "
        f"{' or '.join(found['rule'])}",
        f"measured: {found['best']} is best on {found['validation_examples']:,} validation images "
        f"(standard error {found['standard_error']:.2%})",
        f"advice: {found['advice']}",
    ]
    if found["advice"] != found["best"]:
        lines[-1] += ", as good within the error and cheaper"
    if any(row["note"].endswith(OVER) for row in found["tried"]):
        lines.append("some trainings were cut short: more --minutes may change the order")
    return "\n".join(lines)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    WORKDIR = flags.DEFINE_string("workdir", None, "A run whose best checkpoint is used.")
    WEIGHTS = flags.DEFINE_string("weights", None, "A folder of imported weights.")
    MINUTES = flags.DEFINE_float("minutes", 20.0, "Time for all ways, about.", lower_bound=0.1)
    PER_CLASS = flags.DEFINE_integer("per_class", 0, "Training images a class; 0: all.", 0)
    MOST = flags.DEFINE_integer("most", 0, "Images a class of any split, at most; 0: all.", 0)
    MANY = flags.DEFINE_integer("many", 50, "From how many a class on images are many.", 1)
    CACHE_DIR = flags.DEFINE_string("cache", CACHE, "Where features are kept.")
    OUT = flags.DEFINE_string("out", None, "File for the result as JSON.")
    cli.run(main)
