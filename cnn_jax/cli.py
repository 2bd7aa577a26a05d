"""Command lines: config flags with errors of one line, and exit statuses that mean something.

0 done; 1 a fault of this program; 2 a mistake that the user can mend; 128 + n stopped by signal n.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from cnn_jax.errors import UserError, nearest


def define_config(name: str = "config") -> flags.FlagHolder:
    """The flag --config=FILE[:ARGUMENT], and --config.KEY=VALUE for each of its keys."""
    return config_flags.DEFINE_config_file(name, help_string="FILE.py[:ARGUMENT]", lock_config=True)


def run(main: Callable[[Sequence[str]], int | None], operands: int = 0) -> None:
    """`app.run` whose mistakes are one line on stderr: exit status 2 for those of the user.

    At most so many `operands`, words that are no flags, may be given.
    """
    logging.set_verbosity(logging.FATAL)  # Orbax logs what it raises, with tracebacks of threads
    app.run(guard(main, operands), flags_parser=parse_flags)


def fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def guard(
    main: Callable[[Sequence[str]], int | None], operands: int = 0
) -> Callable[[Sequence[str]], int | None]:
    """`main` with user errors, full disks and signals turned into a line and a status."""

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            if len(argv) > 1 + operands:
                extra = argv[1 + operands]
                raise UserError(f"unexpected argument {extra!r}: options begin with --")
            return main(argv)
        except UserError as error:
            return fail(str(error))
        except BrokenPipeError:  # whoever read the output, `head` perhaps, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        except OSError as error:
            if error.filename is None and error.errno is None:
                raise
            return fail(f"{error.strerror or error}: {error.filename or 'no file named'}")

    return guarded


def parse_flags(argv: Sequence[str]) -> list[str]:
    """absl's parser, with its errors and those of configs in one line with key and choices."""
    try:
        return flags.FLAGS(list(argv))
    except UserError as error:
        return fail(str(error))
    except flags.UnrecognizedFlagError as error:
        known = [name for name in flags.FLAGS if "." not in name]
        return fail(f"--{error.flagname} is no flag{nearest(error.flagname, known)}")
    except flags.Error as error:
        return fail(value_error(str(error)))
    except (AttributeError, KeyError) as error:
        if (message := key_error(argv)) is None:
            raise
        del error
        return fail(message)
    except FileNotFoundError as error:
        return fail(f"--config: no such file: {error.filename}")


def value_error(text: str) -> str:
    """ "flag --config.a=abc: invalid ..." -> "config.a='abc': ..."."""
    match = re.match(r"flag --(\S+?)=(.*?): (.*)", text, re.DOTALL)
    if not match:
        return text.splitlines()[0]
    key, value, reason = match.groups()
    return f"{key}={value!r} has the wrong type: {reason.splitlines()[0]}"


def key_error(argv: Sequence[str]) -> str | None:
    """The first override whose key the config does not have, with the nearest keys it has."""
    config = load_plain(argv)
    if config is None:
        return None
    known = keys_of(config)
    for word in argv[1:]:
        match = re.match(r"--(?:no)?config\.([\w.]+)(?:=(.*))?$", word)
        if match and match[1] not in known:
            key = match[1]
            close = difflib.get_close_matches(key, known, 3, 0.6)
            section = key.rsplit(".", 1)[0] + "."
            choices = [k for k in known if k.startswith(section) and "." in key]
            choices = choices or sorted({k.split(".")[0] for k in known})
            hint = f" (did you mean {' or '.join(close)}?)" if close else ""
            return f"config.{key}={match[2]!r} is no key{hint}; choices: {', '.join(choices)}"
    return None


def keys_of(config: ConfigDict, prefix: str = "") -> list[str]:
    """All keys, dotted."""
    out = []
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            out += keys_of(value, f"{prefix}{key}.")
        out.append(prefix + key)
    return out


def load_plain(argv: Sequence[str]) -> ConfigDict | None:
    """The config of --config without its overrides."""
    import importlib.util

    for word in argv[1:]:
        match = re.match(r"--?config=([^:]+)(?::(.*))?$", word)
        if match:
            spec = importlib.util.spec_from_file_location("config", match[1])
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.get_config(*([match[2]] if match[2] is not None else []))
    return None


def same_command(workdir: str) -> str:
    """The command line that goes on with this run."""
    words = [word for word in sys.argv[1:] if not re.match(r"--?workdir(=|$)", word)]
    name = getattr(sys.modules["__main__"].__spec__, "name", "cnn_jax.main")
    return shlex.join(["python", "-m", name, *words, f"--workdir={workdir}"])
