"""Runs of claims: a record for each config and seed, made once, found again by its content.

    FOLDER/CONFIG_KEY/CODE_KEY/record.json

CONFIG_KEY hashes what the run is (config, seed, probe), CODE_KEY the program it was made by: the
source of the packages that can change a figure, without comments, docstrings and layout, and the
versions of JAX, Flax and optax. A run that was stopped lies in `workdir` beside its record to come
and goes on from its checkpoint. Claims that need the same run share it.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.errors import UserError
from cnn_jax.runtime.preemption import Interrupted
from cnn_jax.runtime.process_exit import end_with_parent
from cnn_jax.runtime.result_files import write_result

ROOT = Path(__file__).parents[1]
FOLDER = Path("runs/claims")
# What can change the figures of a run.
SOURCES = ("data", "models", "ops", "training", "transfer", "train.py", "train_state.py")
VERSIONS = ("jax", "flax", "optax")
# Keys that say where data lies and how it is read, and names for people.
FREE = (
    "name",
    "checkpoint.keep",
    "checkpoint.every_steps",
    "data.dir",
    "data.download",
    "data.mirror",
    "data.workers",
    "data.threads",
)
DIVERGED = "is not finite"  # in the error of a run whose loss or gradient is not


@dataclasses.dataclass(frozen=True)
class Job:
    """One run: a config with changes, and what is measured on it when it is trained."""

    config: str  # "FILE[:ARGUMENT]"
    changes: Mapping[str, Any]  # with "seed"
    probe: str = ""
    trained: bool = True

    def make_config(self, data_dir: str = "") -> ConfigDict:
        from cnn_jax.cli import load_open_config

        config = load_open_config(self.config).unlock()
        for key, value in self.changes.items():
            set_key(config, key, value)
        if data_dir:
            config.data.dir = data_dir
        return config.lock()

    @functools.cached_property
    def key(self) -> str:
        changes = json.dumps(dict(self.changes), sort_keys=True)
        content = {
            "config": config_text(self.config, changes),
            "probe": probe_content(self.probe),
            "trained": self.trained,
        }
        return short_hash(json.dumps(content, sort_keys=True))

    def command(self, folder: Path, data_dir: str = "") -> str:
        """The training of this run as a line for a shell; the record is made of its folder."""
        name, colon, argument = self.config.partition(":")
        words = [f"--config=configs/{name}.py{colon}{argument}", f"--workdir={folder}"]
        changes = dict(self.changes) | ({"data.dir": data_dir} if data_dir else {})
        words += [f"--config.{key}={as_flag(value)}" for key, value in sorted(changes.items())]
        return shlex.join(["python", "-m", "cnn_jax.main", *words])


@functools.cache
def config_text(config: str, changes: str) -> str:
    """The whole config, less what cannot change a figure; `changes` are JSON."""
    from cnn_jax.runtime.workdir import flat

    made = flat(Job(config, json.loads(changes)).make_config())
    # An option of a net that is left open is as good as absent.
    kept = {k: v for k, v in made.items() if k not in FREE and v is not None}
    return json.dumps(kept, sort_keys=True)


def set_key(config: ConfigDict, key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        config = config[section]
    if last not in config:
        raise UserError(f"{key}={value!r}: the config has no such key")
    if isinstance(value, list):  # as JSON holds a tuple
        value = tuple(value)
    if isinstance(value, int) and config.get_type(last) is float and not isinstance(value, bool):
        value = float(value)
    config[last] = value


def as_flag(value: Any) -> str:
    return repr(value) if isinstance(value, tuple | list) else str(value)


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@functools.cache
def probe_content(probe: str) -> str:
    """The probe's name and a hash of its module."""
    if not probe:
        return ""
    path = ROOT / (probe.partition(":")[0].replace(".", "/") + ".py")
    return f"{probe} {short_hash(program(path))}"


def program(path: Path) -> str:
    """A file's syntax tree without docstrings, comments and layout."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
    return ast.dump(tree)


@functools.cache
def code_key() -> str:
    """A hash of the program and of the libraries that decide its figures."""
    package = ROOT / "cnn_jax"
    files = sorted(
        path
        for name in SOURCES
        for path in ([package / name] if name.endswith(".py") else (package / name).rglob("*.py"))
        if path.exists()
    )
    parts = [f"{path.relative_to(package)} {program(path)}" for path in files]
    parts += [f"{name} {importlib.metadata.version(name)}" for name in VERSIONS]
    return short_hash("\n".join(parts))


@dataclasses.dataclass(frozen=True)
class Cache:
    """Records by content. With `any_code` those of other versions of the program count too."""

    folder: Path = FOLDER
    any_code: bool = False
    code: str = dataclasses.field(default_factory=code_key)
    read: dict[Path, dict[str, Any]] = dataclasses.field(default_factory=dict, compare=False)

    def place(self, job: Job) -> Path:
        return self.folder / job.key / self.code

    def find(self, job: Job) -> dict[str, Any] | None:
        paths = [self.place(job) / "record.json"]
        if self.any_code:
            others = (self.folder / job.key).glob("*/record.json")
            paths += sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
        for path in paths:
            if path not in self.read and path.exists():
                self.read[path] = json.loads(path.read_text())
            if path in self.read:
                return self.read[path]
        return None

    def keep(self, job: Job, record: dict[str, Any]) -> None:
        """Atomically; the workdir of the run is not needed any more."""
        place = self.place(job)
        place.mkdir(parents=True, exist_ok=True)
        temporary = place / f".record.{os.getpid()}"
        temporary.write_text(json.dumps(record))
        os.replace(temporary, place / "record.json")
        shutil.rmtree(place / "workdir", ignore_errors=True)


def train(job: Job, folder: Path, data_dir: str) -> dict[str, Any]:
    """The record of one run; it goes on where `folder` holds a part of it."""
    from cnn_jax.train import train_and_evaluate

    config = job.make_config(data_dir)
    record: dict[str, Any] = {"config": job.config, "changes": dict(job.changes)}
    if job.trained:
        try:
            report = train_and_evaluate(config, str(folder))
        except UserError as error:
            if DIVERGED not in str(error):
                raise
            return record | {"diverged": True}
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        evaluations = [row for row in rows if "protocol" in row]
        record |= {
            "evaluations": evaluations,
            "log": [row for row in rows if "protocol" not in row],
            "report": report,
            "steps": evaluations[-1]["step"],
            "validation_examples": validation_examples(config),
        }
    if job.probe:
        module, _, function = job.probe.partition(":")
        record["probe"] = getattr(importlib.import_module(module), function)(config, folder)
    return record


def validation_examples(config: ConfigDict) -> int:
    """How many training images are held out; a fraction is left as 0, to weigh nothing."""
    size = config.data.validation
    return int(size) if size >= 1 else 0


def perform(job: Job, cache: Cache, data_dir: str, train: Callable = train) -> dict[str, Any]:
    """Trains one job and keeps its record."""
    place = cache.place(job)
    place.mkdir(parents=True, exist_ok=True)
    clock = place / "seconds"
    before, begun = float(clock.read_text()) if clock.exists() else 0.0, time.monotonic()
    try:
        with open(place / "log.txt", "a") as log, contextlib.redirect_stdout(log):
            record = train(job, place / "workdir", data_dir)
    finally:
        seconds = before + time.monotonic() - begun
        write_result("the time", clock, str(seconds))
    record["seconds"] = round(seconds, 1)
    cache.keep(job, record)
    return record


def start_worker(cores: Any) -> None:
    """Pins a process to one core before JAX starts, and lets it share compiled programs."""
    end_with_parent()
    core = cores.get()
    if core is not None:
        os.sched_setaffinity(0, {core})
        flags = "--xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    from cnn_jax.runtime.compilation_cache import enable_compilation_cache

    enable_compilation_cache()


def perform_all(
    jobs: Iterable[Job], cache: Cache, data_dir: str, cores: list[int | None], until: float
) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Performs the jobs, one process a core, and yields them as they end, with their records.

    A record that has "failed" was not kept: the run ended with that error. None for a core leaves a
    process unpinned. No job starts after the time `until` (monotonic).
    """
    context = get_context("spawn")
    queue = context.SimpleQueue()
    for core in cores:
        queue.put(core)
    waiting, running = list(jobs)[::-1], {}
    with futures.ProcessPoolExecutor(
        len(cores), mp_context=context, initializer=start_worker, initargs=(queue,)
    ) as pool:
        while waiting or running:
            while waiting and len(running) < len(cores) and time.monotonic() < until:
                job = waiting.pop()
                running[pool.submit(perform, job, cache, data_dir)] = job
            if not running:
                return
            done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), record_of(future)


def record_of(future: futures.Future) -> dict[str, Any]:
    """What a run returned; of a run that failed, why. A signal, or a process that died, raises."""
    try:
        return future.result()
    except (futures.BrokenExecutor, Interrupted):
        raise
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def cores(processes: int = 0) -> list[int | None]:
    """One process a core on CPUs, elsewhere one, unpinned; or as many as `processes`."""
    if processes > 1:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # they share a GPU's memory
    import jax

    if jax.default_backend() != "cpu":
        return [None] * max(1, processes)
    free: list[int | None] = [*sorted(os.sched_getaffinity(0))]
    return free[:processes] if processes else free
