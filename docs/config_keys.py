"""The page of config keys: defaults of `configs/base.py` as it runs, meanings by its comments."""

from __future__ import annotations

import re

from ml_collections import ConfigDict

from cnn_jax.runtime.config_files import keys_of, load_module
from cnn_jax.runtime.shipped_configs import SHIPPED

KEY = re.compile(r'\s+(\w+)((?:\.\w+)*)(?:\.(\w+)|\["(\w+)"\]) = (.*?)(?:  # (.*))?$')
SECTION = re.compile(r"\s+config\.(\w+) = (\w+)\(")


def comments(source: str) -> dict[str, str]:
    """Key -> the comment at the end of its line, or the one that stands above it.

    A section's keys are set in a function of their own, `config.data = data(...)`.
    """
    sections = {function: name for name, function in SECTION.findall(source)}
    meanings: dict[str, str] = {}
    prefix, above = "", []
    for line in source.splitlines():
        if match := re.match(r"def (\w+)\(", line):
            prefix, above = sections.get(match[1], ""), []
        elif match := re.match(r"\s+# (.*)", line):
            above.append(match[1])
        else:
            if match := KEY.match(line):
                _, middle, name, quoted, _, beside = match.groups()
                key = ".".join(filter(None, [prefix, middle.strip("."), name or quoted]))
                meanings[key] = beside or " ".join(above)
            above = []
    return meanings


def page() -> str:
    """Every key with its default and meaning, a section a table."""
    base = load_module("base", SHIPPED / "base.py")
    meanings = comments((SHIPPED / "base.py").read_text())
    config = base.base("NAME", "digits", image_size=0)
    by_dataset = {
        key
        for name in base.DATASETS
        for key in keys_of(config)
        if value_of(base.base("NAME", name, 0), key) != value_of(config, key)
    }
    sections: dict[str, list[str]] = {}
    for key in sorted(keys_of(config), key=list(meanings).index):  # as the file has them
        section = key.rpartition(".")[0]
        default = f"`{value_of(config, key)!r}`"
        if key in by_dataset:
            default = "by the dataset"
        elif key in ("name", "data.image_size"):
            default = "by the config"
        meaning = meanings[key].replace("|", "\\|")
        sections.setdefault(section, []).append(f"| `{key}` | {default} | {meaning} |")
    parts = [
        "# Config keys",
        "`--config.KEY=VALUE` changes a key. These are the defaults of `configs/base.py`; a config "
        "sets what its paper has. A net's own options are the keys of `model`: see "
        "[nets](nets.md).",
    ]
    for section, rows in sections.items():
        title = f"## `{section}`" if section else "## The run"
        parts.append("\n".join([title, "", "| key | default | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def value_of(config: ConfigDict, key: str) -> object:
    """The value of a dotted key."""
    value = config
    for part in key.split("."):
        value = value[part]
    return value
