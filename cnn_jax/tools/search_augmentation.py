"""Which augmentation helps a dataset: a search by successive halving, judged on validation.

    python -m cnn_jax.tools.search_augmentation --config=configs/lenet5.py:mnist --minutes=20

Every policy (one transform, or none) trains on the same examples from the same starts, a start for
each seed. After each of three rungs the better half goes on, for as long as it has trained so far;
training without augmentation always goes on, for comparison. In the end the transforms that helped
are joined, the best first, and what is best on the validation split is the line to paste. The test
split is never looked at.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.data.images.eval_protocols import SINGLE
from cnn_jax.errors import UserError

RUNGS = 3
SHARES = (1, 1, 2)  # of each rung in a trial's steps: it trains as long again
PROBE = 4  # steps to find what one costs
JOINED = 3  # transforms at most in the policy that is put together
SHAPES = (
    "horizontal_flip",
    "vertical_flip",
    "rotate_quarter",
    "pad_and_crop(2)",
    "random_resized_crop(0.6)",
    "rotate(15)",
    "translate(0.1)",
    "scale(0.1)",
    "stretch(0.1)",
    "shear(15, 0)",
    "elastic(34, 4)",
    "brightness(0.2)",
    "contrast(0.2)",
    "gaussian_noise(10)",
    "random_erasing(0.5)",
    "mixup(0.2)",
    "cutmix(1.0)",
    "trivial_augment",
)
COLOURS = ("saturation(0.3)", "hue(0.05)", "colour_cast(0.1)", "pca_lighting(0.1)")


@dataclasses.dataclass
class Trial:
    """One policy under way: a state for each seed, and what they reached."""

    policy: tuple[str, ...]
    run: Any
    carries: list[Any]
    steps: int = 0
    accuracies: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return " + ".join(self.policy) or "none"

    @property
    def mean(self) -> float:
        return sum(self.accuracies) / len(self.accuracies)


def main(argv: Sequence[str]) -> None:
    del argv
    config = CONFIG.value
    if config is None:
        raise cli.UserError("--config is missing: name a file, like --config=configs/lenet5.py")
    if OUT.value and not Path(OUT.value).absolute().parent.is_dir():
        raise UserError(f"--out={OUT.value!r}: there is no such folder")  # before the search
    search = Search(config, EXAMPLES.value, SEEDS.value, MINUTES.value * 60)
    policies = POLICY.value or [*SHAPES, *(COLOURS if search.channels == 3 else ())]
    ranking = search.rank([(), *((policy,) for policy in policies)])
    joined = search.join(ranking)
    found = as_record(config, search, ranking, joined)
    print("\n" + as_text(found))
    if OUT.value:
        Path(OUT.value).write_text(json.dumps(found, indent=1) + "\n")


@dataclasses.dataclass
class Price:
    """What one of many costs, in seconds."""

    count: int = 0
    seconds: float = 0.0

    def add(self, count: int, seconds: float) -> None:
        self.count += count
        self.seconds += seconds

    @property
    def of_one(self) -> float:
        return self.seconds / max(1, self.count)


class Search:
    """What all trials share: the examples, the starts, the judge and the clock."""

    def __init__(self, config: Any, examples: int, seeds: int, seconds: float):
        from cnn_jax.training.experiment import make_run

        self.config, self.seconds, self.seeds = config.copy_and_resolve_references(), seconds, seeds
        self.config.unlock()
        self.config.augment = ()
        run = make_run(self.config)
        key = f"data.name={config.data.name!r}"
        if run.dataset.task.kind != "classification":
            raise UserError(f"{key}: the search compares accuracies, and there are no classes")
        if not run.dataset.train.in_memory:
            raise UserError(f"{key}: the search needs the images in memory: data.streaming=False")
        if not len(run.dataset.validation):
            raise UserError(f"{key}: data.validation=0 leaves the search no judge")
        self.channels = run.dataset.train.image_shape[-1]
        self.dataset = self.part_of(run.dataset, examples)
        self.begun = time.monotonic()
        self.stepping, self.judging = Price(), Price()

    def part_of(self, dataset: Any, examples: int) -> Any:
        """The dataset with so many training examples, by class."""
        from cnn_jax.data.splits import hold_out

        train = dataset.train
        if examples < len(train):
            _, train = hold_out(train, float(examples), self.config.data.split_seed, "--examples")
        return dataclasses.replace(dataset, train=train)

    def trial(self, policy: tuple[str, ...]) -> Trial:
        """A policy at its start, with the same starts as all others."""
        from cnn_jax.training.experiment import make_run

        config = self.config.copy_and_resolve_references()
        config.augment = policy
        run = make_run(config, self.dataset)
        return Trial(policy, run, [run.steps.init(seed) for seed in range(self.seeds)])

    def train(self, trial: Trial, steps: int) -> None:
        """Brings every state of a trial to `steps` updates, and judges it."""
        self.bring(trial, steps)
        self.judge(trial)

    def bring(self, trial: Trial, steps: int) -> None:
        run, begun = trial.run, time.monotonic()
        for seed, carry in enumerate(trial.carries):
            feed = run.feed(seed)
            for step in range(trial.steps, steps):
                carry, done = run.steps.train(carry, feed.batch_at(step), step)
                if step % 4 == 0 or step == steps - 1:
                    done.block_until_ready()  # no more than a few steps under way
            trial.carries[seed] = carry
        self.stepping.add((steps - trial.steps) * self.seeds, time.monotonic() - begun)
        trial.steps = steps

    def judge(self, trial: Trial) -> None:
        begun = time.monotonic()
        found = [self.evaluator(state) for state, _ in trial.carries]
        trial.accuracies = tuple(float((f["prediction"] == f["label"]).mean()) for f in found)
        self.judging.add(self.seeds, time.monotonic() - begun)

    def rank(self, policies: list[tuple[str, ...]]) -> list[Trial]:
        """All trials, those that lasted longest first, by their accuracy within a rung."""
        baseline, *others = trials = [self.trial(policy) for policy in policies]
        self.baseline, self.evaluator = baseline, baseline.run.evaluator("validation")
        self.price(trials)
        out: list[list[Trial]] = []
        for rung in range(RUNGS):
            steps = baseline.steps + self.unit(rung, len(trials)) * SHARES[rung]
            for i, trial in enumerate(trials):
                self.train(trial, steps)
                self.say(f"rung {rung + 1} of {RUNGS}, {i + 1} of {len(trials)}: {trial.name}")
            self.log(f"rung {rung + 1} of {RUNGS}: {len(trials)} policies, {steps} steps each")
            others.sort(key=lambda t: -t.mean)
            kept = max(1, math.ceil(len(others) / 2)) if rung < RUNGS - 1 else 0
            out.append(others[kept:] if kept else others)
            for trial in out[-1] if kept else ():
                trial.carries = []  # their memory
            others = others[:kept]
            trials = [baseline, *others]
        self.say("")
        return [baseline, *(trial for rung in reversed(out) for trial in rung)]

    def price(self, trials: list[Trial]) -> None:
        """Compiles what all trials run, then finds what a step and a judgement cost."""
        for steps in (PROBE, 2 * PROBE):
            self.stepping, self.judging = Price(), Price()
            for i, trial in enumerate(trials):
                self.bring(trial, steps)
                self.say(f"starting {i + 1} of {len(trials)}: {trial.name}")
            self.judge(self.baseline)
        self.log(f"{len(trials)} policies compiled")

    def unit(self, rung: int, count: int) -> int:
        """The steps of the first rung, such that what is left of the search takes the time left."""
        kept = [math.ceil(count / 2**later) for later in range(RUNGS - rung)]
        steps = sum(n * share for n, share in zip(kept, SHARES[rung:], strict=True))
        steps += (JOINED - 1) * sum(SHARES)
        judging = (sum(kept) + JOINED - 1) * self.seeds * self.judging.of_one
        left = self.seconds - (time.monotonic() - self.begun) - judging
        return max(PROBE, int(left / (steps * self.seeds * self.stepping.of_one)))

    def join(self, ranking: list[Trial]) -> list[Trial]:
        """Unions of what helped in the last rung, the best first; mixing transforms at the end."""
        longest = max(trial.steps for trial in ranking)
        helped = [
            t
            for t in ranking[1:]
            if t.steps == longest and t.mean - self.baseline.mean > self.error(t)
        ]
        out = []
        for count in range(2, 1 + min(JOINED, len(helped))):
            names = [t.policy[0] for t in helped[:count]]
            mixing = [n for n in names if n.startswith(("mixup", "cutmix"))]
            names = [n for n in names if n not in mixing] + mixing[:1]
            trial = self.trial(tuple(names))
            self.train(trial, longest)
            self.say(f"joined: {trial.name}")
            out.append(trial)
        self.say("")
        return out

    def gains(self, trial: Trial) -> list[float]:
        """Against no augmentation from the same start, where both have trained as long."""
        if trial.steps != self.baseline.steps:
            return []
        return [a - b for a, b in zip(trial.accuracies, self.baseline.accuracies, strict=True)]

    def error(self, trial: Trial) -> float:
        """The standard error of the mean gain."""
        return spread(self.gains(trial)) / math.sqrt(self.seeds)

    def log(self, text: str) -> None:
        """A line where no line can be rewritten."""
        if not sys.stderr.isatty():
            passed = time.monotonic() - self.begun
            print(f"{text}, {passed:.0f} s", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        if sys.stderr.isatty():
            passed = time.monotonic() - self.begun
            print(
                f"\r\033[K{text and f'{passed:4.0f} s  {text}'}",
                end="",
                file=sys.stderr,
                flush=True,
            )


def spread(values: Sequence[float]) -> float:
    """The standard deviation of a sample."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def as_record(config: Any, search: Search, ranking: list[Trial], joined: list[Trial]) -> dict:
    """The whole result, as JSON holds it."""

    def row(trial: Trial) -> dict:
        gains = search.gains(trial)
        return {
            "policy": list(trial.policy),
            "steps": trial.steps,
            "validation_accuracy": round(trial.mean, 5),
            "deviation": round(spread(trial.accuracies), 5),
            "gain": round(sum(gains) / len(gains), 5) if gains else None,
            "gain_error": round(search.error(trial), 5) if gains else None,
        }

    rows = [row(trial) for trial in [*joined, *ranking]]
    longest = max(r["steps"] for r in rows)
    best = max((r for r in rows if r["steps"] == longest), key=lambda r: r["validation_accuracy"])
    return {
        "config": config.name,
        "dataset": config.data.name,
        "training_examples": len(search.dataset.train),
        "validation_examples": len(search.dataset.validation),
        "protocol": SINGLE,
        "seeds": search.seeds,
        "batch_size": config.batch_size,
        "seconds": round(time.monotonic() - search.begun),
        "ranking": rows,
        "augment": best["policy"],
    }


def as_text(found: dict) -> str:
    """The ranking as a table, and the line to paste."""
    names = {id(row): " + ".join(row["policy"]) or "none" for row in found["ranking"]}
    width = max(len("policy"), *map(len, names.values()))
    lines = [
        f"{found['config']} on {found['dataset']}: {found['training_examples']:,} training "
        f"examples, {found['seeds']} starts, judged on {found['validation_examples']:,} "
        f"by {found['protocol']}; {found['seconds']} s",
        f"{'policy':{width}} {'steps':>6} {'validation accuracy':>20} {'against none':>18}",
    ]
    for row in sorted(found["ranking"], key=lambda r: (-r["steps"], -r["validation_accuracy"])):
        accuracy = f"{row['validation_accuracy']:.2%} ± {row['deviation']:.2%}"
        gain = "" if row["gain"] is None else f"{row['gain']:+.2%} ± {row['gain_error']:.2%}"
        lines.append(f"{names[id(row)]:{width}} {row['steps']:>6} {accuracy:>20} {gain:>18}")
    lines.append("(± of accuracy: deviation over starts; ± of the difference: its standard error)")
    policy = "".join(f'"{name}", ' for name in found["augment"]).rstrip()
    lines.append(f"config.augment = ({policy})")
    return "\n".join(lines)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    MINUTES = flags.DEFINE_float("minutes", 20.0, "Time for the search, about.", lower_bound=0.1)
    EXAMPLES = flags.DEFINE_integer("examples", 5000, "Training examples to search with.", 10)
    SEEDS = flags.DEFINE_integer("seeds", 3, "Starts of every policy.", lower_bound=2)
    OUT = flags.DEFINE_string("out", None, "File for the ranking as JSON.")
    POLICY = flags.DEFINE_multi_string("policy", [], "A transform to try; default: all that fit.")
    cli.run(main)
