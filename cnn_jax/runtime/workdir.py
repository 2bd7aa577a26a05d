"""The folder of a run: its config, where it ran, and a lock so that one process writes to it."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import jax
from ml_collections import ConfigDict

from cnn_jax.errors import UserError, check_local, not_written
from cnn_jax.runtime.checkpoints import Checkpoints
from cnn_jax.runtime.command_line import words_of_command
from cnn_jax.runtime.regular_files import read_json_object, regular
from cnn_jax.runtime.stores.store import is_address

CONFIG, SPLIT, DATA = "config.json", "split.json", "data.json"

# Keys that say where data is found and how it is read, and what else changes no figure: a run may
# go on with other values.
FREE_KEYS = (
    *("name", "protocol", "eval_batch_size", "log_every_steps", "log_flow"),
    "population_statistics",
    *("on_nan", "on_nan_factor"),  # which come into play where a run would end
    *("checkpoint.keep", "checkpoint.every_steps"),
    "shard_optimizer",  # where moments lie: the figures to rounding
    *("data.dir", "data.download", "data.mirror", "data.verify", "data.streaming"),
    *("data.memory_megabytes", "data.workers", "data.threads"),
)
# Keys with which a run may go on for longer, when it is asked to be extended.
EXTENDED = ("epochs", "early_stopping_patience")
FOLDER = "folder:"
ANOTHER = "choose another --workdir"
# What a run had that does not say it: defaults that were others.
EARLIER = {"model.pool1": "padded", "remat": [], "shards": 8}
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def flat(config: ConfigDict) -> dict[str, Any]:
    """{"optimizer.name": "adam", ...}, as JSON holds it."""
    out = {}

    def walk(prefix: str, tree: dict) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                walk(f"{prefix}{key}.", value)
            else:
                out[prefix + key] = value

    walk("", json.loads(config.to_json()))
    return out


def check(workdir: str | os.PathLike, config: ConfigDict, extend: bool = False) -> None:
    """Raises `UserError` naming the keys that differ when the folder holds a run of another config.

    A run that ended before its first checkpoint has nothing to lose: another may take its place.
    To `extend` one, it may have more epochs than its newest checkpoint has.
    """
    saved, here = config_of(workdir, extend), flat(config)
    if saved is not None:
        check_same(Path(workdir), saved, here, free_keys(Path(workdir), extend))
        if extend:
            check_is_longer(Path(workdir), saved, here)


def check_is_longer(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    _, meta = Checkpoints(folder).newest_meta() or (0, {})
    done = meta.get("config", there)["epochs"]
    if here["epochs"] < done:
        raise UserError(
            f"workdir={str(folder)!r}: --extend with epochs={here['epochs']} is less than the "
            f"{done} of the run: choose --config.epochs={done} or more"
        )


def is_finished(folder: Path) -> bool:
    """Whether the newest checkpoint of a run is its end: the last step, or an early stop."""
    _, meta = Checkpoints(folder).newest_meta() or (0, {})
    progress, steps = meta.get("progress", {}), meta.get("total_steps")
    if progress.get("evaluation_due") or steps is None:
        return False
    return bool(progress.get("stopped")) or progress.get("step", 0) >= steps


def free_keys(folder: Path, extend: bool = False) -> tuple[str, ...]:
    """Keys beside `FREE_KEYS` that change no figure of the run in a folder, as it stands."""
    if extend:
        return EXTENDED
    return ("early_stopping_patience",) if is_finished(folder) else ()


def config_of(workdir: str | os.PathLike, extend: bool = False) -> dict[str, Any] | None:
    """The config of the run in a folder, None where nothing was saved; raises `UserError`.

    It is in config.json and in every checkpoint, and must be the same.
    """
    check_local("workdir", workdir)
    folder = Path(workdir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir={str(workdir)!r} is a file: name a folder")
    step, meta = Checkpoints(folder).newest_meta() or (None, {})
    saved = meta.get("config")
    if not ((folder / CONFIG).exists() and any((folder / "checkpoints").glob("*"))):
        return saved
    there = read_config(folder)
    if saved and (differ := differences(there, saved, free_keys(folder, extend))):
        raise UserError(
            f"{folder / CONFIG} is not the config of the checkpoint of step {step}; keys that "
            f"differ: {differ}; remove that file: it is written again"
        )
    return there


def enter(workdir: str | os.PathLike, config: ConfigDict, extend: bool = False) -> IO:
    """Makes or re-enters the folder of a run and locks it; keep the returned file open.

    Raises `UserError` as `check` and `lock` do.
    """
    folder, held = Path(workdir), lock(workdir)
    if jax.process_index() != 0:
        return held
    check(folder, config, extend)
    if not (folder / CONFIG).exists() and Checkpoints(folder).steps():
        warn(f"{folder / CONFIG} is missing: it is written again")
    write_json(folder / CONFIG, flat(config))
    place = folder / "environment.json"
    if extend or not (place.exists() and is_finished(folder)):  # where it was trained stays
        write_json(place, environment())
    return held


def lock(workdir: str | os.PathLike) -> IO:
    """Makes the folder where it is missing and locks it; keep the returned file open.

    Raises `UserError` when another process works in it.
    """
    check_local("workdir", workdir)
    folder = Path(workdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = open(folder / ".lock", "a", opener=regular)  # noqa: SIM115 - as long as the run
    except OSError as error:
        what = "" if error.filename == str(folder) else f"{error.filename}: "
        raise UserError(
            f"workdir={str(workdir)!r} cannot be used: {what}{error.strerror}"
        ) from error
    if jax.process_index() == 0:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"workdir={str(workdir)!r} is in use by another process") from error
    return held


def read_config(folder: Path) -> dict[str, Any]:
    try:
        return read_json_object(folder / CONFIG)
    except (OSError, ValueError) as error:
        _, meta = Checkpoints(folder).newest_meta() or (0, {})
        advice = "remove it, and it is written again" if "config" in meta else ANOTHER
        raise UserError(f"{folder / CONFIG} cannot be read ({error}): {advice}") from error


def data_of(folder: Path) -> dict[str, Any] | None:
    """Classes and splits of what a run was trained on: see `data.identity`.

    From its newest checkpoint, or from data.json, where an earlier version saved none.
    """
    _, meta = Checkpoints(folder).newest_meta() or (0, {})
    if "classes" in (saved := meta.get("data", {})):
        return saved
    try:
        record = read_json_object(folder / DATA)
        return record if {"classes", "splits"} <= record.keys() else None
    except (OSError, ValueError):
        return None


def net_options(config: dict[str, Any]) -> dict[str, Any]:
    """The net's options of a flat config that are not open; what it does not say was `EARLIER`."""
    said = {**EARLIER, **{key: v for key, v in config.items() if v is not None}}
    return {key.removeprefix("model."): v for key, v in said.items() if key.startswith("model.")}


def check_same(
    folder: Path, there: dict[str, Any], here: dict[str, Any], free: Collection[str] = ()
) -> None:
    if not (differ := differences(there, here, free)):
        return
    advice = ANOTHER
    longer = here.get("epochs", 0) > there.get("epochs", 0)
    if longer and not differences(there, here, EXTENDED):
        advice += ", or add --extend: the run goes on to more epochs"
    raise UserError(
        f"workdir={str(folder)!r} holds a run of another config; keys that differ: "
        f"{differ}; {advice}"
    )


def differences(there: dict[str, Any], here: dict[str, Any], free: Collection[str] = ()) -> str:
    """The keys whose values are not the same, with both values, or nothing.

    A folder of images is told by what it holds, not by its path: see `training.run_identity`.
    """
    missing = "(absent)"
    if here.get("parallel") == "elastic":  # has the same bits on any number
        free = (*free, "devices")
    return ", ".join(
        f"{key} ({there.get(key, missing)!r} there, {here.get(key, missing)!r} here)"
        for key in sorted({*there, *here} - {*FREE_KEYS, *free})
        if without_path(key, there) != without_path(key, here)
    )


def default_folder(config: ConfigDict) -> str:
    """runs/CONFIG-DATASET-HASH: another for other values of the keys that make a run.

    The same for more epochs, and one of an earlier version, without a hash, where it holds this
    very run.
    """
    values = flat(config)
    name = values["data.name"]
    word = re.sub(r"\W+", "_", name.rstrip("/").rsplit("/", 1)[-1])
    plain = Path("runs", f"{values['name']}-{word}")
    if (plain / CONFIG).exists():
        there = read_config(plain)
        same = there.get("data.name") == name and not differences(there, values, EXTENDED)
        if same:
            return str(plain)
    kept = {key: v for key, v in values.items() if key not in (*FREE_KEYS, *EXTENDED)}
    kept["data.name"] = real_path(name)
    text = json.dumps({key: v for key, v in kept.items() if v is not None}, sort_keys=True)
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def real_path(name: str) -> str:
    """ "folder:PATH" without links, `..` and a slash at its end; other names as they are."""
    if not name.startswith(FOLDER) or is_address(name.removeprefix(FOLDER)):
        return name
    return str(Path(name.removeprefix(FOLDER)).expanduser().resolve())


def without_path(key: str, values: dict[str, Any]) -> Any:
    """A value as it is compared; None is as good as absent: an option left open."""
    value = EARLIER.get(key) if values.get(key) is None else values[key]
    is_folder = key == "data.name" and str(value).startswith(FOLDER)
    return FOLDER if is_folder else value


def warn(line: str) -> None:
    print(f"warning: {line}", file=sys.stderr)


@functools.cache
def versions() -> dict[str, str]:
    """Of the libraries on which the bits depend."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def environment() -> dict[str, Any]:
    """The code, the versions and the machine of this process."""
    return {
        "git_commit": git_commit(),
        "command": words_of_command(),
        "python": platform.python_version(),
        "versions": versions(),
        "devices": [str(device) for device in jax.devices()],
        "device_kind": jax.devices()[0].device_kind,
        "cpus": os.cpu_count(),
        "processes": jax.process_count(),
    }


def git_commit() -> str:
    """The commit of the code that runs, with "+changes" when files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        changes = "+changes" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "HEAD") + changes
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def write_json(path: Path, value: Any) -> None:
    """Writes atomically: a reader sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "w") as stream:
            stream.write(json.dumps(value, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise not_written(path.name, path, error) from error
