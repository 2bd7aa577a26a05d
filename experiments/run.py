"""Claims about convolutional networks, run to a verdict.

    python -m experiments.run NAME... | --all [--scale=laptop|gpu|paper] [--budget=MINUTES]
    python -m experiments.run NAME --dry_run     one training command a line, and the price
    python -m experiments.run NAME --placebo     both arms equal, on seeds of their own
    python -m experiments.run NAME --details=FOLDER    reports, confusion matrices, curves
    python -m experiments.run --list             every claim
    python -m experiments.run --index            README and pages again from the results

A run is kept in --work by its content: claims share runs, and what was stopped goes on. Results go
to experiments/results, and the index to experiments/README.md; one that is there already stays as
it is without --overwrite.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from cnn_jax import cli
from cnn_jax.errors import UserError
from experiments import claim as claims
from experiments import details, results
from experiments.protocol import Settings, Study
from experiments.runner import Cache, Job, cores, perform_all


def main(argv: Sequence[str]) -> int | None:
    chosen = list(argv[1:])
    if LIST.value:
        for name in claims.names():
            print(f"{name:28} {claims.load(name).statement}")
        return None
    if INDEX.value:
        results.write_texts()
        return None
    if bool(chosen) == ALL.value:
        raise UserError("name the claims to run, or give --all")
    cache = Cache(Path(WORK.value), ANY_CODE.value)
    studies = make_studies(chosen or claims.names(), skip=ALL.value)
    if DRY_RUN.value:
        print_commands(studies, cache)
        return None
    until = time.monotonic() + 60 * BUDGET.value
    perform = functools.partial(
        perform_all, cache=cache, data_dir=DATA_DIR.value, cores=cores(PROCESSES.value), until=until
    )
    # Of other seeds than the claim's own nothing is written: that is a check.
    keep = functools.partial(write, overwrite=OVERWRITE.value)
    if SEEDS.value or FIRST_SEED.value:
        keep = lambda study, result: None  # noqa: E731
    done = run_studies(studies, cache, perform, keep, until)
    for study in studies:
        print(in_short(study, done.get(study.name), cache))
        if DETAILS.value and study.name in done:
            details.write(study.records(cache.find), Path(DETAILS.value) / study.name)
    return 0 if len(done) == len(studies) else 1


def make_studies(names: Sequence[str], skip: bool) -> list[Study]:
    """With `skip`, a claim that has not this scale, or needs an input, is named and left out."""
    settings = Settings(
        SCALE.value, SEEDS.value, FIRST_SEED.value, PLACEBO.value, parse_inputs(INPUT.value)
    )
    studies = []
    for name in names:
        claim = claims.load(name)
        try:
            studies.append(Study(name, claim, settings))
        except UserError as error:
            if not skip:
                raise
            print(f"left out: {error}")
    asked = {name for study in studies for name in study.claim.inputs}
    for name in {*settings.inputs} - asked:
        raise UserError(
            f"input={name!r}: no claim that is to run asks for it; they ask for: "
            f"{', '.join(sorted(asked)) or 'none'}"
        )
    for study in studies:
        if 0 < SEEDS.value < study.claim.rule.least_seeds:
            raise UserError(
                f"seeds={SEEDS.value}: {study.name} needs {study.claim.rule.least_seeds}"
            )
    return studies


def parse_inputs(words: Sequence[str]) -> dict[str, str]:
    inputs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UserError(f"input={word!r}: write --input=NAME=VALUE")
        inputs[name] = value
    return inputs


def run_studies(
    studies: list[Study],
    cache: Cache,
    perform: Callable[[list[Job]], Iterable[tuple[Job, dict[str, Any]]]],
    keep: Callable[[Study, dict[str, Any]], None],
    until: float = math.inf,
) -> dict[str, dict[str, Any]]:
    """The results by name of the studies whose runs are done when nothing is left to do or the time
    is over; each is kept as soon as it is there. A study one of whose runs fails is given up: its
    other runs would decide nothing, and mostly fail alike."""
    done: dict[str, dict[str, Any]] = {}
    given_up: set[str] = set()

    def finish_some() -> None:
        for study in studies:
            if study.name not in done and not study.pending(cache.find):
                done[study.name] = study.result(cache.find)
                keep(study, done[study.name])

    while True:
        finish_some()
        waiting = {
            study.name: {job.key: job for job in study.pending(cache.find)}
            for study in studies
            if study.name not in given_up
        }
        jobs = {key: job for pending in waiting.values() for key, job in pending.items()}
        if not jobs or time.monotonic() >= until:
            return done
        print(f"{len(jobs)} runs to do", flush=True)
        for job, record in perform(list(jobs.values())):
            print(f"{ending(record)}: {job.config} {dict(job.changes)}", flush=True)
            if "failed" in record:
                given_up.update(name for name, pending in waiting.items() if job.key in pending)
                break  # those under way are ended and kept, then the rest goes on
            finish_some()


def ending(record: dict[str, Any]) -> str:
    """How a run ended, in words."""
    if "failed" in record:
        return f"failed: {record['failed']}"
    return f"{'diverged' if record.get('diverged') else 'done'}, {record['seconds']} s"


def write(study: Study, result: dict[str, Any], overwrite: bool) -> None:
    """A result, its picture and the texts; one that is there stays, unless `overwrite`.

    The texts are made in any case: what made the result may have been killed before it made them.
    """
    from benchmarks.harness.machine import in_words, machine

    path = results.path_of(study.name, study.settings)
    if path.exists() and not overwrite:
        print(f"{study.name}: {path} is kept as it was; --overwrite replaces it", flush=True)
    else:
        results.write(path, result | {"machine": in_words(machine())}, study.claim)
    if not study.settings.placebo:
        results.write_texts()


def in_short(study: Study, result: dict[str, Any] | None, cache: Cache) -> str:
    if result is None:
        return f"{study.name}: {len(study.pending(cache.find))} runs or more to do"
    text = results.effect_text(result, study.claim)
    verdict = results.verdict_text(result, result["effect"]["p"])
    return f"{study.name}: {verdict}: {text}, {result['effect']['n']} seeds"


def print_commands(studies: list[Study], cache: Cache) -> None:
    """One line a training that is known to be needed, then what all of it costs."""
    jobs = {job.key: job for study in studies for job in study.pending(cache.find)}
    for job in jobs.values():
        if job.trained:
            print(job.command(cache.place(job) / "workdir", DATA_DIR.value))
    prices = [price(study) for study in studies for _ in study.pending(cache.find)]
    known = [seconds for seconds in prices if seconds is not None]
    text = f"# {len(jobs)} runs; {sum(known) / 60:.0f} minutes of one core for {len(known)} of them"
    print(f"{text}; the others were never timed" if len(known) < len(prices) else text)
    if any(study.claim.tuning for study in studies):
        print("# where a rate is tuned, the runs on it follow: ask again when these are done")


def price(study: Study) -> float | None:
    """Seconds of a run, as the committed result of this scale, or another, has them."""
    path = results.path_of(study.name, Settings(study.settings.scale))
    if not path.exists():
        return None
    arms = json.loads(path.read_text())["variants"].values()
    return sum(arm["seconds"] for arm in arms) / len(arms)


if __name__ == "__main__":  # flags only here, so that experiments can be imported
    ALL = flags.DEFINE_bool("all", False, "Every claim that has this scale.")
    LIST = flags.DEFINE_bool("list", False, "The claims' names and statements.")
    INDEX = flags.DEFINE_bool("index", False, "Write README and pages from the results.")
    SCALE = flags.DEFINE_enum("scale", "laptop", claims.SCALES, "How large.")
    SEEDS = flags.DEFINE_integer("seeds", 0, "Of another number nothing is written; 0: its own.", 0)
    FIRST_SEED = flags.DEFINE_integer("first_seed", 0, "Other seeds: nothing is written.", 0)
    BUDGET = flags.DEFINE_float("budget", math.inf, "Minutes after which no run starts.", 0.0)
    DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the training commands and the price.")
    OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace results that are there.")
    PLACEBO = flags.DEFINE_bool("placebo", False, "Every arm is the first variant.")
    DETAILS = cli.define_folder("details", "", "Folder for reports, confusions and curves.")
    INPUT = flags.DEFINE_multi_string("input", [], "NAME=VALUE that a claim asks for.")
    PROCESSES = flags.DEFINE_integer("processes", 0, "At once; 0: one a core.", 0)
    ANY_CODE = flags.DEFINE_bool("any_code", False, "Take records of other versions of the code.")
    DATA_DIR = flags.DEFINE_string("data_dir", "", "Where sets lie; empty: as configs have it.")
    WORK = cli.define_folder("work", "runs/claims", "Where runs and records lie.")
    cli.run(main, operands=1000)
