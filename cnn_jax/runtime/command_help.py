"""What --help says: what a command does, its flags, and the configs and datasets there are."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from pathlib import Path

from absl import flags

from cnn_jax.runtime.shipped_configs import shipped_configs

WIDTH, LONGEST = 100, 32  # of a line, and of a name beside its text
# What absl adds to a flag's help.
ADDED = re.compile(r"^<[^>]*>: |;?\s+repeat this option to specify a list of values$")
KINDS = {"int": "N", "float": "X"}  # absl's names, as they are shown
# The word after a config's colon.
DATASETS = {
    "digits": "1,797 handwritten digits of 8x8 that come with scikit-learn; nothing to download",
    "digits_angle": "the same, turned; by how many degrees, is the question",
    "mnist": "70,000 handwritten digits of 28x28",
    "fashion_mnist": "70,000 pieces of clothing of 28x28",
    "cifar10": "60,000 photographs of 32x32 in 10 classes",
    "cifar100": "60,000 photographs of 32x32 in 100 classes",
    "imagenet2012": "ILSVRC 2012, where you have it in data.dir",
    "folder:PATH": "your images, in one folder a class",
    "tfds:NAME": "a set that tensorflow-datasets has prepared in data.dir",
}


def docstring_of(path: Path) -> str:
    """The docstring of a Python file, which is not run."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def first_line(path: Path) -> str:
    """The sentence with which a Python file's docstring begins."""
    return docstring_of(path).partition("\n")[0]


def columns(rows: dict[str, str], indent: str = "  ") -> str:
    """Names and what each is, in two columns; long lines go on under their beginning."""
    width = max(len(name) for name in rows if len(name) <= LONGEST)
    lines = []
    for name, text in rows.items():
        start = f"{indent}{name:{width}}  "
        if len(name) > width:  # on a line of its own
            lines.append(indent + name)
            start = " " * (len(indent) + width + 2)
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start)
        ) or [start.rstrip()]
    return "\n".join(lines)


def help_of_program(values: flags.FlagValues) -> str:
    """The help of the program that runs: its module's docstring, then its own flags."""
    main = sys.modules["__main__"]
    own = sorted(values.get_key_flags_for_module(sys.argv[0]), key=lambda flag: flag.name)
    parts = [(main.__doc__ or "").strip(), "Flags:\n" + columns(dict(map(describe, own)))]
    if getattr(main.__spec__, "name", "") == "cnn_jax.main":
        configs = {path.stem: first_line(path) for path in shipped_configs()}
        parts += ["Configs (a file of yours, or one of these):\n" + columns(configs)]
        parts += ["Datasets (--config=NAME:DATASET):\n" + columns(DATASETS)]
    elif any(flag.name == "config" for flag in own):
        parts += ["Configs and datasets are listed by: cnn_jax train --help"]
    return "\n\n".join(parts)


def describe(flag: flags.Flag) -> tuple[str, str]:
    """A flag as it is written, and its meaning with its default."""
    choices = list(filter(None, getattr(flag.parser, "enum_values", None) or []))
    text = ADDED.sub("", flag.help or "")
    if flag.boolean:
        return f"--[no]{flag.name}", text
    value = "|".join(choices) or KINDS.get(flag.flag_type(), "...")
    default = f" [{flag.default_unparsed}]" if flag.default not in (None, "", []) else ""
    return f"--{flag.name}={value}", text + default
