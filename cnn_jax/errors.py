"""The one exception for mistakes a user can mend, and the sentence that helps to mend them."""

from __future__ import annotations

import difflib
import math
import operator
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class UserError(ValueError):
    """A mistake in a config, a file or a command line: printed as one line, without a traceback."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """`" (did you mean 'adam'?)"`, or nothing when no choice is close."""
    name, choices = str(name).lower(), list(choices)
    found = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    found = found or [choice for choice in choices if len(name) > 2 and name in choice][:3]
    return f" (did you mean {' or '.join(repr(f) for f in found)}?)" if found else ""


def unknown(key: str, value: object, choices: Iterable[str]) -> UserError:
    """The error for a value outside a closed list: names the key, the value and the choices."""
    choices = list(choices)
    return UserError(
        f"{key}={value!r} is unknown{nearest(str(value), choices)}; choices: {', '.join(choices)}"
    )


def printable(text: str) -> str:
    """`text` on one line that a terminal shows and obeys not: "a\\x1b[2J" for an escape.

    Names of files may hold anything, bytes that are no UTF-8 (lone surrogates) too.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def within(value: Any, condition: str) -> bool:
    """Whether `value` is a finite number that satisfies, for example, ">= 0 and < 1"."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    pairs = [comparison.split() for comparison in condition.split(" and ")]
    return all(COMPARISONS[sign](value, float(bound)) for sign, bound in pairs)


def out_of_range(key: str, value: object, condition: str) -> UserError:
    """The error for a number that is not `within` its range."""
    return UserError(f"{key}={value!r} is out of range: choose a number {condition}")


def check_local(key: str, place: str | os.PathLike) -> None:
    """Raises `UserError` for the address of a store, s3://BUCKET: a path would be a folder here."""
    words = os.fspath(place)
    if found := re.match(r"([A-Za-z][\w+.-]+):/+", words):
        address = f"{found[1]}://{words[found.end() :]}"  # of which a path keeps one slash
        raise UserError(
            f"{key}={address!r} is an address, and this is written on this machine: name a place "
            "here (in a store a run has its --workdir, and images and weights are read)"
        )


def not_written(what: str, path: Path, error: Exception) -> UserError:
    """The error for `what` that could not be written to `path`: the reason, and the free space."""
    place = next(p for p in (path, *path.absolute().parents) if p.exists())
    text = str(error).strip() or type(error).__name__
    if code := re.search(r"os_error_code='(\d+)'", text):  # tensorstore's way to say it
        text = os.strerror(int(code[1]))
    reason = getattr(error, "strerror", None) or text.splitlines()[0][:200]
    return UserError(
        f"{what} could not be written to {path} ({reason}; "
        f"{shutil.disk_usage(place).free:,} bytes free there)"
    )
