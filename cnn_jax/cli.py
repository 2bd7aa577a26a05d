"""Command lines: config flags with errors of one line, and exit statuses that mean something.

0 done; 1 a fault of this program; 2 a mistake that the user can mend; 128 + n stopped by signal n.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from cnn_jax.errors import UserError, nearest
from cnn_jax.runtime.compilation_cache import keep_compiled
from cnn_jax.runtime.malloc import keep_memory

INTERRUPTED = 130

flags.disclaim_key_flags()  # --help of a program lists the config's flag as its own


def define_config(name: str = "config") -> flags.FlagHolder:
    """The flag --config=FILE[:ARGUMENT], and --config.KEY=VALUE for each of its keys."""
    text = "FILE.py[:ARGUMENT]; --config.KEY=VALUE changes one of its keys."
    return config_flags.DEFINE_config_file(name, help_string=text, lock_config=True)


def run(main: Callable[[Sequence[str]], int | None], operands: int = 0) -> None:
    """`app.run` whose mistakes are one line on stderr: exit status 2 for those of the user.

    At most so many `operands`, words that are no flags, may be given.
    """
    keep_memory()
    logging.set_verbosity(logging.FATAL)  # Orbax logs what it raises, with tracebacks of threads
    app.run(guard(main, operands), flags_parser=parse_flags)


def guard(
    main: Callable[[Sequence[str]], int | None], operands: int = 0
) -> Callable[[Sequence[str]], int | None]:
    """`main` with user errors, full disks and Ctrl-C turned into a line and a status."""

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            if len(argv) > 1 + operands:
                extra = argv[1 + operands]
                raise UserError(f"unexpected argument {extra!r}: options begin with --")
            keep_compiled()
            return main(argv)
        except UserError as error:
            return fail(str(error))
        except BrokenPipeError:  # whoever read the output, `head` perhaps, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        except OSError as error:
            if error.errno is None:
                raise
            return fail(f"{error.filename or 'a file'}: {error.strerror}")
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return INTERRUPTED

    return guarded


def fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def parse_flags(argv: Sequence[str]) -> list[str]:
    """absl's parser; what is wrong with flags, config file and keys is said in one line."""
    words = sys.argv
    try:
        config = check_config(argv)
        sys.argv = [subscripted(word) for word in words]  # where ml_collections looks for keys
        return flags.FLAGS([subscripted(word) for word in argv])
    except UserError as error:
        return fail(str(error))
    except flags.UnrecognizedFlagError as error:
        names = [name for name in flags.FLAGS if "." not in name]
        return fail(f"--{error.flagname} is no flag{nearest(error.flagname, names)}")
    except flags.IllegalFlagValueError as error:
        return fail(wrong_value(str(error), config))
    except flags.Error as error:
        return fail(str(error).splitlines()[0])
    except SystemExit as end:  # --help, which absl ends with 1
        raise SystemExit(0) from end
    finally:
        sys.argv = words


def subscripted(word: str) -> str:
    """--config.init.from=X -> --config.init["from"]=X: a Python word is no attribute's name."""
    if not re.match(r"--?(?:no)?config\.", word):
        return word
    name, equals, value = word.partition("=")
    first, *parts = name.split(".")
    parts = [f'["{part}"]' if keyword.iskeyword(part) else f".{part}" for part in parts]
    return "".join([first, *parts, equals, value])


def check_config(argv: Sequence[str]) -> ConfigDict | None:
    """The file of --config without changes; raises `UserError` unless it has all changed keys."""
    files, changes = [], []
    for i, word in enumerate(argv[1:], 1):
        if match := re.fullmatch(r"--?config(?:=(.*))?", word, re.DOTALL):
            files.append(match[1] if match[1] is not None else "".join(argv[i + 1 : i + 2]))
        elif match := re.match(r"--?(?:no)?(config\.([^=]+).*)", word, re.DOTALL):
            changes.append((match[1], match[2]))
    if not files:
        if changes:
            raise UserError(f"--{changes[0][0]} needs --config=FILE before it")
        return None
    if len(files) > 1:
        raise UserError(f"--config is given twice: {' and '.join(files)}")
    config = load_config(files[0])
    for change, key in changes:
        check_key(config, key, change)
    return config


def load_config(name: str) -> ConfigDict:
    """What `get_config` in the file of `FILE.py[:ARGUMENT]` returns."""
    file, colon, argument = name.partition(":")
    path = Path(file)
    if not path.is_file() or path.suffix != ".py":
        others = sorted(str(other) for other in path.parent.glob("*.py"))
        raise UserError(f"--config={name!r}: {file!r} is no Python file{nearest(file, others)}")
    make_importable(path)
    try:
        spec = importlib.util.spec_from_file_location("config", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(*[argument] * bool(colon))
    except SyntaxError as error:
        raise UserError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f"line {frames[-1].lineno}: " if frames else ""
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"--config={name!r}: {where}{what}") from error
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config={name!r}: get_config returns no ConfigDict but {config!r:.100}")
    return config


def make_importable(path: Path) -> None:
    """Lets a config import its neighbours, and `configs.base`, wherever the program is started."""
    top = path.resolve().parent
    while (top / "__init__.py").exists():
        top = top.parent
    sys.path.insert(0, str(top))
    sys.path.append(str(Path(__file__).resolve().parents[1]))


def check_key(config: ConfigDict, key: str, change: str) -> None:
    """Raises `UserError`, with the keys that there are, unless `key` names one value."""
    found, parts = config, key.split(".")
    for i, part in enumerate(parts):
        here = ".".join(["config", *parts[:i]])
        if not isinstance(found, ConfigDict):
            raise UserError(f"{change}: {here} is a value, it has no keys")
        if part not in found:
            hint = nearest(key, keys_of(config))
            raise UserError(f"{change}: there is no such key{hint}; {here} has {', '.join(found)}")
        found = found[part]
    if isinstance(found, ConfigDict):
        raise UserError(f"{change}: config.{key} is no value, it has the keys {', '.join(found)}")


def keys_of(config: ConfigDict, prefix: str = "") -> list[str]:
    """The keys of all values, dotted."""
    out = []
    for key, value in config.items():
        is_section = isinstance(value, ConfigDict)
        out += keys_of(value, f"{prefix}{key}.") if is_section else [prefix + key]
    return out


def wrong_value(text: str, config: ConfigDict | None) -> str:
    """ "flag --config.a=abc: invalid ..." -> "config.a='abc' has the wrong type: ..."."""
    match = re.match(r"flag --(\S+?)=(.*?): (.*)", text, re.DOTALL)
    if not match:
        return text.splitlines()[0]
    name, value, reason = match.groups()
    if "must have a value other than None" in reason:
        return f"--{name} is missing"
    if config is None or not name.startswith("config."):
        return f"--{name}={value!r}: {reason.splitlines()[0]}"
    *sections, key = name.split(".")[1:]
    for part in sections:
        config = config[part]
    return f"{name}={value!r} has the wrong type: expected {config.get_type(key).__name__}"


def join_processes() -> None:
    """`jax.distributed` as the cluster says, or these variables: JAX_COORDINATOR_ADDRESS
    (host:port of process 0), JAX_NUM_PROCESSES and JAX_PROCESS_ID (from 0).
    """
    import jax

    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    given = [name for name in names if name in os.environ]
    if given and len(given) < len(names):
        raise UserError(f"--distributed: {given[0]} is set, so set all of {', '.join(names)}")
    if not given:
        jax.distributed.initialize()
        return
    address, count, index = (os.environ[name] for name in names)
    if not (count.isdigit() and index.isdigit() and int(index) < int(count)):
        raise UserError(f"--distributed: JAX_PROCESS_ID={index} of JAX_NUM_PROCESSES={count}")
    jax.distributed.initialize(address, int(count), int(index))


def same_command(workdir: str) -> str:
    """The command line that goes on with this run."""
    words = sys.argv[1:]
    if not any(re.match(r"--?workdir(=|$)", word) for word in words):
        words = [*words, f"--workdir={workdir}"]
    name = getattr(sys.modules["__main__"].__spec__, "name", "cnn_jax.main")
    return shlex.join(["python", "-m", name, *words])
