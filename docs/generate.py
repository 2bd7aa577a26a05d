"""The pages that are read off the code: nets, config keys, transforms, commands, claims and API.

They are written to docs/generated when the documentation is built, so that none of them can be
out of date.
"""

from __future__ import annotations

import csv
import re
import typing
from pathlib import Path
from typing import Any

from cnn_jax import models
from cnn_jax.analysis import recipes, tables
from cnn_jax.data import augment
from cnn_jax.runtime import command_help, config_files, shipped_configs
from docs import api, config_keys

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/generated"
EXPERIMENTS = ROOT / "experiments"


def write_all() -> None:
    """Writes every page; one that has not changed keeps its time, so that it is not built again."""
    pages = {
        "nets": nets_page(),
        "config_keys": config_keys.page(),
        "transforms": transforms_page(),
        "datasets": datasets_page(),
        "configs": configs_page(),
        "recipes": recipes_page(),
        "commands": commands_page(),
        **claims_pages(),
        **api.pages(ROOT / "cnn_jax"),
    }
    for name, text in pages.items():
        path = OUT / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def counts() -> dict[str, dict[str, str]]:
    """Name -> its row in the tests' table of counts, without options and at the paper's size."""
    rows: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "tests/models/counts").glob("*.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            if not row["options"]:
                rows.setdefault(row["name"], row)
    return rows


def nets_page() -> str:
    """Every registered name with its counts, and every paper's options."""
    rows = counts()
    parts = [
        "# Nets",
        f"{len(models.names())} names, in the order of their papers' files. Each is made by "
        "`models.create(NAME)` and printed stage by stage by `cnn_jax summarize NAME`. Parameters, "
        "BatchNorm statistics and multiply-adds are exact, at the paper's image size and number of "
        "classes, and held by the tests with the source of each.",
    ]
    by_file: dict[str, list[str]] = {}
    for name, net in models.REGISTRY.items():
        by_file.setdefault(net.module.__module__, []).append(name)
    for module, names in by_file.items():
        path = ROOT / (module.replace(".", "/") + ".py")
        parts.append(f"## {module.rpartition('.')[2]}")
        parts.append(command_help.docstring_of(path).split("\n\n")[0])
        lines = []
        for name in names:
            row = rows.get(name, {})
            numbers = [
                f"{int(row[key]):,}" if row.get(key) else ""
                for key in ("params", "batch_stats", "macs")
            ]
            height, width, channels = models.REGISTRY[name].input_shape
            lines.append([f"`{name}`", f"{height}x{width}x{channels}", *numbers])
        head = ["name", "input", "parameters", "statistics", "multiply-adds"]
        parts.append(table(head, lines))
        parts.append(options_of(names))
    return "\n\n".join(parts) + "\n"


def options_of(names: list[str]) -> str:
    """The options that a paper's nets take, each with its type and its default under each name."""
    defaults: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in names:
        for key, (kind, default) in models.REGISTRY[name].options().items():
            kinds = defaults.setdefault((key, type_text(kind)), {})
            kinds.setdefault(repr(default), []).append(name)
    rows = []
    for (key, kind), values in defaults.items():
        if len(values) == 1:
            text = f"`{next(iter(values))}`"
        else:
            text = "; ".join(f"`{value}` ({', '.join(who)})" for value, who in values.items())
        rows.append([f"`{key}`", kind, text])
    return table(["option", "type", "default"], rows) if rows else "No options."


def type_text(kind: Any) -> str:
    """`Literal['avg', 'max']` by its choices, any other type as it is written."""
    if typing.get_origin(kind) is typing.Annotated:
        plain, limit = typing.get_args(kind)
        return f"{type_text(plain)} {limit.condition}"
    if typing.get_origin(kind) is typing.Literal:
        return " ".join(f"`{choice!r}`" for choice in typing.get_args(kind))
    plain = isinstance(kind, type) and not typing.get_args(kind)
    return f"`{kind.__name__ if plain else str(kind).replace('typing.', '')}`"


def transforms_page() -> str:
    """The docstring of the augmentations, which is a table of them."""
    text = augment.__doc__ or ""
    missing = [name for name in augment.TRANSFORMS if f"`{name}" not in text]
    assert not missing, f"cnn_jax/data/augment/__init__.py does not mention {missing}"
    return f"# Augmentation\n\n{text}"


def datasets_page() -> str:
    """The word after a config's colon."""
    rows = [[f"`{name}`", text] for name, text in command_help.DATASETS.items()]
    text = table(["`--config=NAME:DATASET`", "what it is"], rows)
    return (
        f"# Datasets\n\n{text}\n\n`--config=NAME:published:DATASET` is the [recipe](recipes.md) of "
        "the net's paper on that set; only what belongs to the data is the set's own.\n"
    )


def configs_page() -> str:
    """The docstring of every config: paper, command, price, result, deviations."""
    parts = ["# Configs", "One run, one file. `cnn_jax train --config=NAME` runs it."]
    for path in shipped_configs.shipped_configs():
        parts += [f"## {path.stem}", command_help.docstring_of(path)]
    return "\n\n".join(parts) + "\n"


def recipes_page() -> str:
    """Every published recipe beside its config."""
    parts = [
        "# Recipes",
        "How each paper trained its net, beside the config that does so: what "
        "`cnn_jax summarize NET --recipe` prints. The config's side is read off the config; the "
        "paper's is `cnn_jax/analysis/recipes.csv`. What differs is **bold**; where the paper is "
        "silent, the source is whose value it is.",
    ]
    for recipe, published in recipes.published_recipes().items():
        rows = recipes.recipe_rows(config_files.load_config(recipe), published)
        cells = [recipe_cells(row) for row in recipes.grouped(rows)]
        parts += [f"## {recipe}", table([*tables.RECIPE_COLUMNS], cells), recipes.count_text(rows)]
    return "\n\n".join(parts) + "\n"


def recipe_cells(row: list[str]) -> list[str]:
    """Markdown of one row."""
    point, key, paper, config, status, source = row
    mark = f"**{status}**" if status == "DIFFERS" else status
    return [point, f"`{key}`", paper, config, mark, source]


def commands_page() -> str:
    """The docstring of every tool."""
    parts = [
        "# Commands",
        "`cnn_jax COMMAND` and `python -m cnn_jax.tools.COMMAND` are the same; `train` and "
        "`evaluate` are `python -m cnn_jax.main`. `--help` lists a command's flags.",
        "## train, evaluate",
        command_help.docstring_of(ROOT / "cnn_jax/main.py"),
    ]
    for path in sorted((ROOT / "cnn_jax/tools").glob("*.py")):
        if not path.stem.startswith("_"):
            parts += [f"## {path.stem}", command_help.docstring_of(path)]
    return "\n\n".join(parts) + "\n"


def claims_pages() -> dict[str, str]:
    """The index of the claims, a page of each that was run, and what did not work.

    Links between these pages are kept; others, to files of the repository, become plain words.
    """
    pages = {"index": EXPERIMENTS / "README.md", "log": EXPERIMENTS / "LOG.md"}
    pages |= {path.stem: path for path in sorted((EXPERIMENTS / "results").glob("*.md"))}
    names = {path.name: name for name, path in pages.items()}

    def link(match: re.Match[str]) -> str:
        name = names.get(Path(match[2]).name)
        return f"[{match[1]}]({name}.md)" if name else match[1]

    texts = {}
    for name, path in pages.items():
        text = re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)([^)]*)\)", link, path.read_text())
        # Pictures lie where the results are.
        text = re.sub(r"(!\[[^]]*\]\()", r"\1../../../experiments/results/", text)
        texts[f"claims/{name}"] = text
    children = "\n".join(name for name in pages if name != "index")
    texts["claims/index"] += f"\n```{{toctree}}\n:hidden:\n\n{children}\n```\n"
    return texts
