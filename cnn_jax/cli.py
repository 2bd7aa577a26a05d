"""Command lines: config flags with errors of one line, and exit statuses that mean something.

0 done; 1 a fault of this program; 2 a mistake that the user can mend; 128 + n stopped by signal n.
"""

from __future__ import annotations

import io
import keyword
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging
from ml_collections import ConfigDict, config_dict, config_flags

from cnn_jax.errors import UserError, nearest, printable
from cnn_jax.runtime.command_help import help_of_program
from cnn_jax.runtime.command_line import words_of_command
from cnn_jax.runtime.compilation_cache import enable_compilation_cache
from cnn_jax.runtime.config_files import load_config, read_config_flags, value_of
from cnn_jax.runtime.garbage import search_seldom
from cnn_jax.runtime.malloc import retain_freed_memory
from cnn_jax.runtime.process_exit import exit_process
from cnn_jax.runtime.result_files import PICTURES, check_folder, check_place
from cnn_jax.runtime.stores.copies import in_words, with_copies

INTERRUPTED = 130
HELP = ("--help", "-help", "-h", "--helpshort")

flags.disclaim_key_flags()  # --help of a program lists the config's flag as its own


def define_config(name: str = "config") -> flags.FlagHolder:
    """The flag --config=FILE[:ARGUMENT], and --config.KEY=VALUE for each of its keys."""
    text = "FILE.py[:ARGUMENT]; --config.KEY=VALUE changes one of its keys."
    holder = config_flags.DEFINE_config_file(name, help_string=text, lock_config=True)
    flags.FLAGS[name].parser = ConfigParser()
    return holder


class ResultFile(flags.ArgumentParser):
    """A file to write, of one of these formats; its place is seen to before the program begins."""

    def __init__(self, endings: Sequence[str] = ()):
        self.endings = endings

    def check(self, key: str, value: str) -> None:
        check_place(key, value, self.endings)


class ResultFolder(ResultFile):
    """A folder to write."""

    def check(self, key: str, value: str) -> None:
        check_folder(key, value)


def define_file(name: str, default: str | None, text: str) -> flags.FlagHolder:
    return flags.DEFINE(ResultFile(), name, default, text)


def define_picture(name: str, default: str | None) -> flags.FlagHolder:
    text = "Where the picture goes (.png, .svg, .pdf)."
    return flags.DEFINE(ResultFile(PICTURES), name, default, text)


def define_folder(
    name: str, default: str | None, text: str, required: bool = False
) -> flags.FlagHolder:
    return flags.DEFINE(ResultFolder(), name, default, text, required=required)


def check_values() -> None:
    """Raises `UserError` for a place that cannot be written, and for a number that is none.

    A flag may be infinite whose default is: it is a limit.
    """
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        value, parser = flag.value, flag.parser
        if isinstance(parser, ResultFile) and value:
            parser.check(f"--{name}", value)
        elif isinstance(parser, flags.FloatParser) and value is not None:
            limitless = flag.default == math.inf and value == math.inf
            if not math.isfinite(value) and not limitless:
                raise UserError(f"--{name}={value} is out of range: choose a finite number")


def read_config(words: Sequence[str]) -> ConfigDict:
    """The config of --config=NAME and --config.KEY=VALUE, as a command line has it.

    Raises `UserError` for what is wrong with them.
    """
    own, original, config = flags.FlagValues(), sys.argv, None
    config_flags.DEFINE_config_file("config", lock_config=True, flag_values=own)
    own["config"].parser = ConfigParser()
    try:
        found, config = read_config_flags(["", *words], load_open_config)
        sys.argv = [subscripted(word) for word in found]  # where ml_collections looks for keys
        own(sys.argv)
        return own["config"].value
    except flags.IllegalFlagValueError as error:
        raise UserError(wrong_value(str(error), config)) from error
    except flags.Error as error:
        raise UserError(str(error).splitlines()[0]) from error
    finally:
        sys.argv = original


class ConfigParser(flags.ArgumentParser):
    """FILE.py[:ARGUMENT] -> its config, with every option of its net, locked."""

    def parse(self, argument: str) -> ConfigDict:
        return load_open_config(argument).lock()


def load_open_config(name: str) -> ConfigDict:
    """`load_config`, and every option of the config's net, open: None is as the net's name has it.

    So `--config.model.OPTION=VALUE` changes any of them, and a config lists none.
    """
    from cnn_jax.models import REGISTRY  # seconds, which --help does without

    config = load_config(name)
    section = config.get("model")
    if not isinstance(section, ConfigDict) or section.get("name") not in REGISTRY:
        return config  # said with the choices when the net is made
    for key, option in REGISTRY[section.name].options().items():
        if key not in section:
            with section.unlocked():
                section[key] = config_dict.placeholder(option.type)
    return config


def run(main: Callable[[Sequence[str]], int | None], operands: int = 0) -> None:
    """`app.run` whose mistakes are one line on stderr: exit status 2 for those of the user.

    At most so many `operands`, words that are no flags, may be given.
    """
    retain_freed_memory()
    search_seldom()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that it cannot encode ends no run
            stream.reconfigure(errors="backslashreplace")
    logging.set_verbosity(logging.FATAL)  # Orbax logs what it raises, with tracebacks of threads
    try:
        app.run(guard(main, operands), flags_parser=parse_flags)
    except SystemExit as end:
        if isinstance(end.code, int):
            exit_process(end.code)
        raise


def guard(
    main: Callable[[Sequence[str]], int | None], operands: int = 0
) -> Callable[[Sequence[str]], int | None]:
    """`main` with user errors, full disks and Ctrl-C turned into a line and a status."""

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            if len(argv) > 1 + operands:
                extra = argv[1 + operands]
                raise UserError(f"unexpected argument {extra!r}: options begin with --")
            enable_compilation_cache()
            end_at_second_interrupt()
            status = main(argv)
            sys.stdout.flush()  # here, where a reader that has left is met
            return status
        except UserError as error:
            return fail(str(error))
        except BrokenPipeError:
            return stop_printing()
        except OSError as error:
            if error.errno is None:
                raise
            return fail(f"{error.filename or 'a file'}: {error.strerror}")
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return INTERRUPTED

    return guarded


def end_at_second_interrupt() -> None:
    """A second Ctrl-C while training ends the process, whatever library it comes amid."""
    from cnn_jax.runtime.preemption import on_second_interrupt  # seconds, as above

    on_second_interrupt(lambda: os._exit(INTERRUPTED))


def show(text: str) -> None:
    """Prints before a program begins, to a reader that may have left."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        stop_printing()


def stop_printing() -> None:
    """Whoever read the output, `head` perhaps, has seen enough: the rest goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str) -> NoReturn:
    print(f"error: {printable(in_words(message))}", file=sys.stderr)
    raise SystemExit(2)


def parse_flags(argv: Sequence[str]) -> list[str]:
    """absl's parser; what is wrong with flags, config file and keys is said in one line."""
    original, config = sys.argv, None
    if any(word in HELP for word in argv[1:]):
        show(help_of_program(flags.FLAGS))
        raise SystemExit(0)
    try:
        if "mode" not in flags.FLAGS:  # that of cnn_jax.main, which works in a store
            argv = [argv[0], *with_copies(argv[1:])]
        argv = [argv[0], *map(with_home, argv[1:])]
        workdir = value_of("workdir", argv) if "config" in flags.FLAGS else ""
        words, config = read_config_flags(argv, load_open_config, workdir)
        sys.argv = [subscripted(word) for word in words]  # where ml_collections looks for keys
        operands = flags.FLAGS(sys.argv)
        check_values()
        return operands
    except UserError as error:
        return fail(str(error))
    except flags.UnrecognizedFlagError as error:
        names = [name for name in flags.FLAGS if "." not in name]
        return fail(f"--{error.flagname} is no flag{nearest(error.flagname, names)}")
    except flags.IllegalFlagValueError as error:
        return fail(wrong_value(str(error), config))
    except flags.Error as error:
        return fail(str(error).splitlines()[0])
    except SystemExit as end:  # --helpfull, which absl ends with 1
        raise SystemExit(0) from end
    finally:
        sys.argv = original


def with_home(word: str) -> str:
    """--workdir=~/run -> --workdir=/home/me/run: shells leave it behind an equals sign."""
    flag, equals, value = word.partition("=")
    is_of_flag = flag.startswith("-") and value.startswith("~")
    return f"{flag}{equals}{os.path.expanduser(value)}" if is_of_flag else word


def subscripted(word: str) -> str:
    """--config.init.from=X -> --config.init["from"]=X: a Python word is no attribute's name."""
    if not re.match(r"--?(?:no)?config\.", word):
        return word
    name, equals, value = word.partition("=")
    first, *parts = name.split(".")
    parts = [f'["{part}"]' if keyword.iskeyword(part) else f".{part}" for part in parts]
    return "".join([first, *parts, equals, value])


def wrong_value(text: str, config: ConfigDict | None) -> str:
    """ "flag --config.a=abc: invalid ..." -> "config.a='abc' has the wrong type: ..."."""
    match = re.match(r"flag --(\S+?)=(.*?): (.*)", text, re.DOTALL)
    if not match:
        return text.splitlines()[0]
    name, value, reason = match.groups()
    if "must have a value other than None" in reason:
        return f"--{name} is missing"
    if config is None or not name.startswith("config."):
        return f"--{name}={value!r}{refusal(reason.splitlines()[0])}"
    *parents, key = name.split(".")[1:]
    section: Any = config
    for part in parents:
        section = section[part]
    return f"{name}={value!r} has the wrong type: expected {section.get_type(key).__name__}"


PYTHON_TYPES = {
    "invalid literal for int()": "int",
    "could not convert string to float": "float",
    "('Non-boolean argument": "bool",
}


def refusal(reason: str) -> str:
    """What is said of a flag's value: absl's words, where Python's own do not come through."""
    for begin, name in PYTHON_TYPES.items():
        if reason.startswith(begin):
            return f" has the wrong type: expected {name}"
    if choices := re.match(r"value should be one of <(.*)>", reason):
        return f" is unknown; choices: {choices[1].replace('|', ', ')}"
    return f": {reason}"


def same_command(workdir: str) -> str:
    """The command line that goes on with this run."""
    words = words_of_command()
    if not any(re.match(r"--?workdir(=|$)", word) for word in words):
        words = [*words, f"--workdir={workdir}"]
    return shlex.join(words)
