"""Config files: found here or in the package, loaded, and held against the keys that are changed.

A config is a Python file whose `get_config`, given the word after the colon where there is one,
returns a `ConfigDict`. The configs of this project travel with the package. `NAME:published` is the
recipe of a config's paper, and `NAME:published:DATASET` the same on another set. The `config.json`
of a run is a config too.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from cnn_jax.errors import UserError, check_local, nearest
from cnn_jax.runtime.regular_files import read_json_object
from cnn_jax.runtime.shipped_configs import ABSENT, SHIPPED, ConfigsFinder, shipped_configs
from cnn_jax.runtime.stores.copies import local_file

OF_RUN = "config.json"


def find_config(file: str) -> Path:
    """The path of a config file: as it is given, or one of the package's.

    `lenet5`, `lenet5.py` and `configs/lenet5.py` name a config of the package, unless there is
    such a file. Raises `UserError`, with the nearest names, where there is neither.
    """
    path = Path(file)
    if path.is_file() and (path.suffix == ".py" or path.name == OF_RUN):
        return path
    shipped = SHIPPED / f"{path.name.removesuffix('.py')}.py"
    if path.parent in (Path(), Path("configs")) and shipped.is_file() and not path.is_file():
        return shipped
    if not SHIPPED.is_dir():
        raise UserError(f"--config={file!r}: {ABSENT}")
    choices = {str(other) for other in path.parent.glob("*.py")}
    is_word = path.parent == Path() and not path.suffix  # as the package's configs are named
    choices |= {other.stem if is_word else f"configs/{other.name}" for other in shipped_configs()}
    raise UserError(
        f"--config={file!r}: {file!r} is no Python file{nearest(file, sorted(choices))}"
    )


def load_config(name: str) -> ConfigDict:
    """What `get_config` in the file of `FILE.py[:ARGUMENT]` returns, or a run's config.json."""
    if Path(name).name == OF_RUN:
        return config_of_run(Path(name).parent)
    file, colon, argument = name.partition(":")
    path = find_config(file)
    try:
        make_importable(path)
        module = load_module("config", path)
        word, _, dataset = argument.partition(":")
        if word == "published":
            config = load_module("base", SHIPPED / "base.py").published(module, dataset)
        else:
            config = module.get_config(*[argument] * bool(colon))
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"--config={name!r}: {where_of(error, path)}{what}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config={name!r}: get_config returns no ConfigDict but {config!r:.100}")
    return config


def where_of(error: Exception, path: Path) -> str:
    """The line of a config that raised, else the file and line; "" where Python's own did."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    if lines := [frame.lineno for frame in frames if frame.filename == str(path)]:
        return f"line {lines[-1]}: "
    files = [frame for frame in frames if Path(frame.filename).is_file()]
    return f"{files[-1].filename}, line {files[-1].lineno}: " if files else ""


def config_of_run(folder: Path) -> ConfigDict:
    """The config that a run was trained with, from its folder; raises `UserError`.

    Keys that are newer than the run are as `configs.base` has them.
    """
    check_local("workdir", folder)
    path = folder / OF_RUN
    if not path.exists():
        raise UserError(f"workdir={str(folder)!r} holds no run: train first, or name another")
    try:
        return config_of_values(read_json_object(path, "name", "data.name", "data.image_size"))
    except (AttributeError, KeyError, OSError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}): name the --config") from error


def config_of_values(values: Mapping[str, Any]) -> ConfigDict:
    """The config with these values by dotted key; other keys are as `configs.base` has them."""
    config = base_config(values["name"], values["data.name"], values["data.image_size"])
    with config.ignore_type():
        for key, value in values.items():
            if value is not None:  # an option left open, which keeps its type
                set_value(config, key.split("."), as_tuple(value))
    return config


def check_kind(key: str, there: type, value: Any) -> None:
    """Raises `TypeError` for text in the place of a number, and the like.

    Types alone are not held to: whole numbers stand for others, and what is open for anything.
    """
    for kind in (str, bool, (int, float), tuple, ConfigDict):
        if issubclass(there, kind):
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise TypeError(f"{key}={value!r:.80} stands for a value of type {there.__name__}")
            return


def set_value(config: ConfigDict, parts: Sequence[str], value: Any) -> None:
    """Sets the value of a key, given by its sections, which are made where they are missing."""
    *sections, last = parts
    for section in sections:
        if section not in config:
            config[section] = ConfigDict()
        config = config[section]
    if last in config:
        check_kind(".".join(parts), config.get_type(last), value)
    config[last] = value


def base_config(name: str = "", dataset: str = "digits", image_size: int = 32) -> ConfigDict:
    """A config with every key, as `configs.base` has them, but for the options of nets."""
    if not SHIPPED.is_dir():
        raise UserError(ABSENT)
    return load_module("base", SHIPPED / "base.py").base(name, dataset, image_size)


def as_tuple(value: Any) -> Any:
    """JSON has lists for tuples."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


def load_module(name: str, path: Path) -> ModuleType:
    """The module of one file; it is not put into `sys.modules`."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_importable(path: Path) -> None:
    """Lets a config import its neighbours, and `configs.base`, wherever the program is started.

    A folder `configs` of the user's own stands before the package's, which fills what it lacks;
    for a config of the package it is the other way round, and the user's is not run.
    """
    path = path.resolve()
    if path.parent == SHIPPED:
        configs, first = sys.modules.get("configs") or shipped_package(), SHIPPED
    else:
        top = path.parent
        while (top / "__init__.py").exists():
            top = top.parent
        sys.path.insert(0, str(top))
        first = next((p for p in path.parents if p.name == "configs"), top / "configs")
        known = sys.modules.get("configs")
        if known and first.is_dir() and str(first) not in getattr(known, "__path__", []):
            del sys.modules["configs"]  # that of another folder
        configs = importlib.import_module("configs")
    folders = [str(first)] * first.is_dir() + [*getattr(configs, "__path__", []), str(SHIPPED)]
    # A list, because a namespace's own path forgets what is added to it.
    configs.__path__ = [*dict.fromkeys(folders)]


def shipped_package() -> ModuleType:
    """The package's `configs`, imported whatever else goes by that name."""
    spec = ConfigsFinder.find_spec("configs")
    assert spec is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["configs"] = package
    return package


def find_name(name: str) -> str:
    """FILE[:ARGUMENT] with the path of the file that is found."""
    if Path(name).name == OF_RUN and Path(name).is_file():
        return name
    file, colon, argument = name.partition(":")
    return f"{find_config(file)}{colon}{argument}"


def value_of(flag: str, argv: Sequence[str]) -> str:
    """The value of a flag on a command line, "" where there is none."""
    value = ""
    for word, after in zip(argv[1:], [*argv[2:], ""], strict=False):
        name, equals, text = word.partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            value = text if equals else after
    return value


def check_key(config: ConfigDict, key: str, change: str) -> None:
    """Raises `UserError`, with the keys that there are, unless `key` names one value."""
    node, parts = config, key.split(".")
    for i, part in enumerate(parts):
        section = ".".join(["config", *parts[:i]])
        if not isinstance(node, ConfigDict):
            raise UserError(f"{change}: {section} is a value, it has no keys")
        if part not in node:
            hint = nearest(key, keys_of(config))
            raise UserError(
                f"{change}: there is no such key{hint}; {section} has {', '.join(node)}"
            )
        node = node[part]
    if isinstance(node, ConfigDict):
        raise UserError(f"{change}: config.{key} is no value, it has the keys {', '.join(node)}")


def keys_of(config: ConfigDict, prefix: str = "") -> list[str]:
    """The keys of all values, dotted."""
    keys = []
    for key, value in config.items():
        is_section = isinstance(value, ConfigDict)
        keys += keys_of(value, f"{prefix}{key}.") if is_section else [prefix + key]
    return keys


def read_config_flags(
    argv: Sequence[str], load: Callable[[str], ConfigDict] = load_config, workdir: str = ""
) -> tuple[list[str], ConfigDict | None]:
    """The words of a command line with --config's file found, and the config without changes.

    `load` makes a config of the word after --config; where there is none it is that of the run in
    `workdir`, and None without one. Raises `UserError` unless it has all the keys that are changed.
    """
    words, names, changes = [*argv], [], []
    for i, word in enumerate(argv[1:], 1):
        if match := re.fullmatch(r"--?config(?:=(.*))?", word, re.DOTALL):
            apart = match[1] is None  # --config FILE, as two words
            names.append("".join(argv[i + 1 : i + 2]) if apart else match[1])
            resolved = find_name(names[-1])
            if apart:
                words[i + 1] = resolved
            else:
                words[i] = f"--config={resolved}"
        elif match := re.match(r"--?(?:no)?(config\.([^=]+).*)", word, re.DOTALL):
            changes.append((match[1], match[2]))
    if not names and workdir and (of_run := local_file("--workdir", workdir, OF_RUN)).exists():
        names = [str(of_run)]
        words.insert(1, f"--config={names[0]}")
    if not names:
        if changes:
            raise UserError(
                f"--{changes[0][0]} needs --config=FILE before it, or the --workdir of a run"
            )
        return words, None
    if len(names) > 1:
        raise UserError(f"--config is given twice: {' and '.join(names)}")
    config = load(names[0])
    for change, key in changes:
        check_key(config, key, change)
    return words, config
