"""What a config and a net's name leave to choose, each with a line that says what it is."""

from __future__ import annotations

import re
import sys
import textwrap
import typing
from collections.abc import Callable
from typing import Any, Literal

from cnn_jax import models
from cnn_jax.models.registry import Net

WIDTH = 96


def nets() -> dict[str, str]:
    """Every registered net: what its name fixes, and its paper."""
    lines = {}
    for name, net in models.REGISTRY.items():
        paper = sys.modules[net.module.__module__].__doc__
        fixed = ", ".join(f"{key}={value}" for key, value in net.preset.items())
        lines[name] = f"{fixed}. {summary_line(paper)}" if fixed else summary_line(paper)
    return lines


def datasets() -> dict[str, str]:
    from cnn_jax.runtime.command_help import DATASETS

    return DATASETS


def optimizers() -> dict[str, str]:
    from cnn_jax.training.optimizers import make_optimizer

    return listed_in(make_optimizer)


def schedules() -> dict[str, str]:
    from cnn_jax.training.optimizers import make_schedule

    return listed_in(make_schedule)


def losses() -> dict[str, str]:
    from cnn_jax.training.losses import LOSSES

    return described(LOSSES)


def augment() -> dict[str, str]:
    from cnn_jax.data.augment import TRANSFORMS

    return described(TRANSFORMS)


def protocols() -> dict[str, str]:
    from cnn_jax.data.images.eval_protocols import PROTOCOLS, SINGLE

    return {SINGLE: "The middle of the image, once: the default."} | described(PROTOCOLS)


LISTS: dict[str, Callable[[], dict[str, str]]] = {
    "nets": nets,
    "datasets": datasets,
    "optimizers": optimizers,
    "schedules": schedules,
    "losses": losses,
    "augment": augment,
    "protocols": protocols,
}


def described(functions: dict[str, Callable]) -> dict[str, str]:
    """Each name with the beginning of its function's docstring."""
    return {name: summary_line(function.__doc__) for name, function in functions.items()}


def listed_in(function: Callable) -> dict[str, str]:
    """The names that a docstring has in a list, "- `a`, `b`: what they are"."""
    lines = {}
    # An item goes on in lines that stand further in than its dash.
    item = r"^( *)- (`.*?`): (.*(?:\n\1 +[^ -].*)*)$"
    for match in re.finditer(item, function.__doc__ or "", re.MULTILINE):
        text = " ".join(match[3].split())
        lines |= dict.fromkeys(re.findall(r"`(\w+)`", match[2]), text)
    return lines


def summary_line(docstring: str | None) -> str:
    """The first paragraph on one line, cut where it is long."""
    return textwrap.shorten((docstring or "").strip().split("\n\n")[0], WIDTH, placeholder=" ...")


def option_rows(net: Net) -> list[tuple[str, str, str]]:
    """(name, type or choices, default) of every option that a net takes."""
    return [
        (key, choices_text(kind), repr(default)) for key, (kind, default) in net.options().items()
    ]


def choices_text(kind: Any) -> str:
    """`Literal["avg", "max"]` -> "avg | max", `Rate` -> "float >= 0 and < 1"."""
    if typing.get_origin(kind) is typing.Annotated:
        plain, limit = typing.get_args(kind)
        return f"{choices_text(plain)} {limit.condition}"
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    if kind is bool:
        return "True | False"
    if isinstance(kind, type) and not typing.get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")
