"""Trains a config over values and seeds: runs, goes on after a stop, and ends in a table of means.

    cnn_jax sweep --config=lenet5 --set optimizer.learning_rate=0.01,0.001 --seeds=5
    cnn_jax sweep --config=lenet5 --set model.activation=tanh,relu --set batch_size=32,128
    cnn_jax sweep --config=lenet5 --config.data.folds=5 --set data.fold=0,1,2,3,4
    cnn_jax sweep --config=resnet20_cifar:cifar10 --seeds=5 --dry_run         (commands, one a line)

Every combination of values is a run in a folder of its own. The same command goes on where it was
stopped and trains nothing twice; it also makes the table of runs that an array job has trained by
the commands of --dry_run. The table is that of `cnn_jax compare`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from cnn_jax import cli
from cnn_jax.errors import UserError, printable
from cnn_jax.runtime.config_files import check_key
from cnn_jax.runtime.progress import ProgressBar
from cnn_jax.runtime.result_files import write_json

MOST_RUNS = 10_000


@dataclasses.dataclass(frozen=True)
class Job:
    """One run: the words of its command that make its config, and its folder."""

    words: tuple[str, ...]
    folder: Path
    config: ConfigDict

    @property
    def command(self) -> str:
        return shlex.join(["cnn_jax", "train", *self.words, f"--workdir={self.folder}"])

    def is_finished(self) -> bool:
        from cnn_jax.runtime import workdir

        return (self.folder / "report.json").exists() and workdir.is_finished(self.folder)


def main(argv: Sequence[str]) -> int | None:
    del argv
    if CONFIG.value is None:
        raise UserError("--config is missing: name one, like --config=lenet5")
    words = config_words(sys.argv[1:])
    grid = read_grid(SET.value, SEEDS.value, CONFIG.value)
    out = Path(OUT.value or default_folder(CONFIG.value))
    jobs = make_jobs(words, grid, out)
    check(jobs)
    if DRY_RUN.value:
        for job in jobs:
            print(job.command)
        return None
    failed = train_all(jobs)
    show_table([job for job in jobs if job.folder not in failed], JSON.value)
    print(printable(f"the runs are in {out}: cnn_jax report {out}/* has them side by side"))
    for folder, reason in failed.items():
        print(printable(f"{folder}: no figures: {reason}"))
    return 2 if failed else None


def config_words(argv: Sequence[str]) -> tuple[str, ...]:
    """The flags --config and --config.KEY of a command line, each as one word."""
    words, rest = [], [*argv]
    while rest:
        word = rest.pop(0)
        if not re.match(r"--?(no)?config(\.|=|$)", word):
            continue
        if "=" not in word and rest and not rest[0].startswith("-"):  # apart, or a switch
            word = f"{word}={rest.pop(0)}"
        words.append(word)
    return tuple(words)


def read_grid(
    settings: Sequence[str], seeds: int | None, config: ConfigDict
) -> dict[str, list[str]]:
    """{key: its values, as words}, from KEY=VALUE,VALUE,...; raises `UserError`."""
    grid: dict[str, list[str]] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.removeprefix("config.")
        if not equals or not text:
            raise UserError(f"--set={setting!r}: write KEY=VALUE,VALUE, like batch_size=32,64")
        check_key(config, key, f"--set={setting!r}")
        if key in grid:
            raise UserError(f"--set={setting!r}: {key} is set twice; write all its values in one")
        grid[key] = split_values(text)
        if len({*grid[key]}) < len(grid[key]):
            raise UserError(f"--set={setting!r} names a value twice, and that is one run")
    if seeds is not None:
        if "seed" in grid:
            raise UserError(f"--seeds={seeds} and --set seed=...: leave one of them")
        grid["seed"] = [str(seed) for seed in range(seeds)]
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MOST_RUNS:
        raise UserError(f"these are {count:,} runs, more than {MOST_RUNS:,}: name fewer values")
    return grid


def split_values(text: str) -> list[str]:
    """Parted at commas, but not within brackets and quotes: "('a', 'b'),()" are two values."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    if "" in parts or depth or quote:
        raise UserError(f"--set ...={text}: a value is empty, or a bracket or quote is left open")
    return parts


def make_jobs(words: Sequence[str], grid: Mapping[str, list[str]], out: Path) -> list[Job]:
    """Every combination, seeds innermost; a config is read as `cnn_jax train` reads it."""
    jobs = []
    for values in itertools.product(*grid.values()):
        pairs = dict(zip(grid, values, strict=True))
        own = (*words, *(f"--config.{key}={value}" for key, value in pairs.items()))
        name = ",".join(f"{key}={file_name(value)}" for key, value in pairs.items()) or "run"
        jobs.append(Job(own, out / name, cli.read_config(own)))
    return jobs


def file_name(value: str) -> str:
    """The value where it can be a part of a file's name, else what can be, and a hash."""
    plain = re.sub(r"[^\w.+-]+", "_", value)[:40]
    if plain == value:
        return value
    return f"{plain}-{hashlib.sha256(value.encode()).hexdigest()[:6]}"


def default_folder(config: ConfigDict) -> str:
    """runs/sweep-CONFIG-DATASET-HASH: another for other values of what all its runs share."""
    from cnn_jax.runtime import workdir
    from cnn_jax.training import optimizers

    completed = config.copy_and_resolve_references()
    optimizers.complete(completed)
    place = Path(workdir.default_folder(completed))
    return str(place.with_name(f"sweep-{place.name}"))


def check(jobs: Sequence[Job]) -> None:
    """Raises `UserError` for what is wrong with any of the runs, before the first one."""
    from cnn_jax.runtime import workdir
    from cnn_jax.training.experiment import check_config

    checked: set[str] = set()
    folders: dict[str, Path] = {}
    with ProgressBar("checking the configs", len(jobs)) as bar:
        for job in jobs:
            if (other := folders.setdefault(job.config.to_json(), job.folder)) != job.folder:
                raise UserError(f"--set: {other.name} and {job.folder.name} are one run: leave one")
            config = job.config.copy_and_resolve_references()
            config.seed = 0  # which changes nothing that is checked
            if (key := config.to_json()) not in checked:
                check_config(config)
                checked.add(key)
            completed = job.config.copy_and_resolve_references()
            check_config_values(completed, job.folder)
            try:
                workdir.check(job.folder, completed)
            except UserError as error:
                raise UserError(str(error).replace("--workdir", "--out")) from error
            bar.advance()


def check_config_values(config: ConfigDict, folder: Path) -> None:
    """Checks the values alone, and completes what the config leaves open, as its run does."""
    from cnn_jax.training import config_checks, dataset_checks, open_values

    config_checks.check(config)
    dataset_checks.check_apart(config, folder)
    open_values.complete(config, folder)


def train_all(jobs: Sequence[Job]) -> dict[Path, str]:
    """Trains what is not finished; {folder: why} of runs that ended without figures."""
    from cnn_jax.python_runs import train_and_evaluate
    from cnn_jax.runtime.preemption import Interrupted

    failed: dict[Path, str] = {}
    left = [job for job in jobs if not job.is_finished()]
    if len(left) < len(jobs):
        print(f"{len(jobs) - len(left)} of {len(jobs)} runs are finished")
    with ProgressBar("runs", len(left)) as bar:
        for number, job in enumerate(left, 1):
            bar.describe(f"run {number} of {len(left)}: {job.folder.name}")

            def show(step: int, steps: int, done: int = number - 1) -> None:
                bar.reach(done + step / steps)

            try:
                trained = train_and_evaluate(job.config, job.folder, quiet=True, on_step=show)
            except UserError as error:
                failed[job.folder] = str(error)
                print(printable(f"{job.folder}: {error}"), flush=True)
            except Interrupted as stop:
                print(f"stopped by {stop}: saved, the same command goes on")
                raise SystemExit(128 + stop.signum) from stop
            else:
                print(printable(str(trained)), flush=True)
            bar.reach(number)
    return failed


def show_table(jobs: Sequence[Job], place: str | None) -> None:
    """The table of the finished runs, and its rows as JSON."""
    from cnn_jax.tools import compare

    if not jobs:
        raise UserError("no run came to figures; the reasons are above")
    rows = compare.group([compare.read_run(job.folder) for job in jobs])
    print("\n" + compare.table(rows))
    if place:
        write_json(place, rows)


if __name__ == "__main__":  # flags only here, so that the tools can be imported side by side
    CONFIG = cli.define_config()
    SET = flags.DEFINE_multi_string("set", [], "KEY=VALUE,VALUE,...; several: every combination.")
    SEEDS = flags.DEFINE_integer("seeds", None, "So many seeds, from 0.", lower_bound=1)
    OUT = cli.define_folder("out", None, "Folder; default: runs/sweep-CONFIG-DATASET-HASH.")
    DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print a training command a line, for jobs.")
    JSON = cli.define_file("json", None, "File for the rows as JSON.")
    cli.run(main)
